import { RuntimeDto, UsageTodayDto, WorkerDto } from '@cordon/contracts';
import { Controller, Get, Req, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ExecutionsService } from '../executions/executions.service.js';
import { AuthGuard } from '../http/auth.guard.js';

@ApiTags('runtimes')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Controller('v1')
export class RuntimesController {
  constructor(private readonly executions: ExecutionsService) {}

  @Get('runtimes')
  @ApiOperation({ summary: 'Languages that the workers really found' })
  @ApiOkResponse({ type: [RuntimeDto] })
  runtimes(): Promise<RuntimeDto[]> {
    return this.executions.runtimes();
  }

  @Get('usage')
  @ApiOperation({ summary: 'What this key used today, and what it may' })
  @ApiOkResponse({ type: UsageTodayDto })
  usage(@Req() request: FastifyRequest): Promise<UsageTodayDto> {
    return this.executions.usage(request.principal);
  }

  @Get('workers')
  @ApiOperation({ summary: 'Live workers' })
  @ApiOkResponse({ type: [WorkerDto] })
  async workers(): Promise<WorkerDto[]> {
    const workers = await this.executions.registry.workers();
    // The link's token opens every sandbox of the worker: it is nobody's but ours.
    return workers.map(({ runtimes: _runtimes, link: _link, platforms, ...rest }) => ({
      ...rest,
      platforms: [...platforms],
    }));
  }
}
