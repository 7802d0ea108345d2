import { CreatedKeyDto, CreateKeyDto, KeyDto, KeyListDto } from '@cordon/contracts';
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, UseGuards } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiCreatedResponse,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { offsetOf, wholeNumber } from '../http/query.js';
import { validateDto } from '../http/validate-dto.js';
import { KeysService } from './keys.service.js';

@ApiTags('keys')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('admin')
@Controller('v1/keys')
export class KeysController {
  constructor(private readonly keys: KeysService) {}

  @Post()
  @ApiOperation({ summary: 'Create a key; its text is in this answer only' })
  @ApiBody({ type: CreateKeyDto })
  @ApiCreatedResponse({ type: CreatedKeyDto })
  @ApiBodyProblems()
  create(@Body() body: unknown): Promise<CreatedKeyDto> {
    return this.keys.create(validateDto(CreateKeyDto, body));
  }

  @Get()
  @ApiOperation({ summary: 'List keys, newest first, revoked ones too' })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 } })
  @ApiQuery({ name: 'cursor', required: false, schema: { type: 'string' } })
  @ApiOkResponse({ type: KeyListDto })
  @ApiProblems('invalid-request')
  async list(@Query('limit') limit?: string, @Query('cursor') cursor?: string): Promise<KeyListDto> {
    const { items, next } = await this.keys.list(offsetOf(cursor), wholeNumber(limit, 'limit', 1, 200, 50));
    return { items, nextCursor: next === null ? null : String(next) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One key' })
  @ApiOkResponse({ type: KeyDto })
  @ApiProblems('not-found')
  get(@Param('id') id: string): Promise<KeyDto> {
    return this.keys.get(id);
  }

  @Delete(':id')
  @HttpCode(200)
  @ApiOperation({ summary: 'Revoke a key: refused from now on' })
  @ApiOkResponse({ type: KeyDto })
  @ApiProblems('not-found')
  revoke(@Param('id') id: string): Promise<KeyDto> {
    return this.keys.revoke(id);
  }
}
