import { DeliveryDto, DeliveryListDto, WebhookSecretDto } from '@cordon/contracts';
import { Controller, Get, HttpCode, Param, Post, Query, Req, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { offsetOf, wholeNumber } from '../http/query.js';
import { WebhooksService } from './webhooks.service.js';

@ApiTags('webhooks')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('run', 'judge')
@Controller('v1/webhooks')
export class WebhooksController {
  constructor(private readonly webhooks: WebhooksService) {}

  @Get('secret')
  @ApiOperation({ operationId: 'getWebhookSecret', summary: 'What messages to this tenant’s webhooks are signed with' })
  @ApiOkResponse({ type: WebhookSecretDto })
  async secret(@Req() request: FastifyRequest): Promise<WebhookSecretDto> {
    return { secret: await this.webhooks.secret(request.tenant) };
  }

  @Post('secret')
  @HttpCode(200)
  @ApiOperation({ operationId: 'rotateWebhookSecret', summary: 'A new secret, from the next message on' })
  @ApiOkResponse({ type: WebhookSecretDto })
  async rotate(@Req() request: FastifyRequest): Promise<WebhookSecretDto> {
    return { secret: await this.webhooks.rotateSecret(request.tenant) };
  }

  @Get('deliveries')
  @ApiOperation({
    operationId: 'listDeliveries',
    summary: 'Messages to webhooks, newest first, and what became of them',
  })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 } })
  @ApiQuery({ name: 'cursor', required: false, schema: { type: 'string' } })
  @ApiOkResponse({ type: DeliveryListDto })
  @ApiProblems('invalid-request')
  async list(
    @Req() request: FastifyRequest,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
  ): Promise<DeliveryListDto> {
    const count = wholeNumber(limit, 'limit', 1, 200, 50);
    const { items, next } = await this.webhooks.list(request.tenant, offsetOf(cursor), count);
    return { items, nextCursor: next === null ? null : String(next) };
  }

  @Get('deliveries/:id')
  @ApiOperation({ operationId: 'getDelivery', summary: 'One message' })
  @ApiOkResponse({ type: DeliveryDto })
  @ApiProblems('not-found')
  get(@Req() request: FastifyRequest, @Param('id') id: string): Promise<DeliveryDto> {
    return this.webhooks.get(request.tenant, id);
  }

  @Post('deliveries/:id/redeliver')
  @HttpCode(200)
  @ApiOperation({ operationId: 'redeliver', summary: 'Send a message again' })
  @ApiOkResponse({ type: DeliveryDto })
  @ApiProblems('not-found')
  again(@Req() request: FastifyRequest, @Param('id') id: string): Promise<DeliveryDto> {
    return this.webhooks.again(request.tenant, id);
  }
}
