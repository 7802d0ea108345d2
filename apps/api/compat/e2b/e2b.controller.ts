import type { SandboxUsageDto } from '@cordon/contracts';
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AuthGuard, Scopes } from '../../http/auth.guard.js';
import { E2B_PATH } from './e2b.auth.js';
import { E2bError } from './e2b.errors.js';
import { type E2bSandbox, E2bService, ENVD_VERSION, unavailable } from './e2b.service.js';

const PAGE_MOST = 100;
const MIB = 2 ** 20;

/** Under both numbers of its API: clients differ in which they call. */
const of = (path: string): string[] => [path, `v2/${path}`];

/** E2B's control plane. Its document is E2B's; ours leaves it out. */
@ApiExcludeController()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller(E2B_PATH)
export class E2bController {
  constructor(private readonly e2b: E2bService) {}

  @Post(of('sandboxes'))
  async create(@Req() request: FastifyRequest, @Body() body: unknown): Promise<object> {
    return created(await this.e2b.create(request.principal, body));
  }

  @Get(of('sandboxes'))
  async list(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Query() query: Record<string, string | undefined>,
  ): Promise<object> {
    const { metadata, state, template, startedAfter, order, limit, nextToken } = query;
    const wanted = new URLSearchParams(metadata ?? '');
    // Clients encode names and values once more before they make a query of them.
    const pairs = [...wanted].map(([name, value]) => [decoded(name), decoded(value)]);
    const all = await this.e2b.list(request.tenant);
    const after = startedAfter === undefined ? 0 : Date.parse(startedAfter);
    const matching = all.filter(
      ({ sandbox, record }) =>
        pairs.every(([name, value]) => record.metadata[name] === value) &&
        (state === undefined || state.split(',').includes('running')) &&
        (template === undefined || record.templateId === template) &&
        Date.parse(sandbox.createdAt) > after,
    );
    if (order !== 'asc') matching.reverse();
    const from = nextToken === undefined || nextToken === '' ? 0 : Number(nextToken);
    if (!Number.isInteger(from) || from < 0) throw new E2bError('invalid_argument', 'nextToken is none of ours');
    const most = limit === undefined ? PAGE_MOST : Math.min(Number(limit), PAGE_MOST);
    if (!(most >= 1)) throw new E2bError('invalid_argument', 'limit must be at least 1');
    if (from + most < matching.length) reply.header('x-next-token', String(from + most));
    return matching.slice(from, from + most).map(listed);
  }

  @Get('sandboxes/:id')
  async info(@Req() request: FastifyRequest, @Param('id') id: string): Promise<object> {
    const found = await this.e2b.get(request.tenant, id);
    return {
      ...listed(found),
      envdAccessToken: found.record.accessToken || undefined,
      domain: null,
      allowInternetAccess: false,
      network: { allowOut: [], denyOut: ['0.0.0.0/0'], allowPublicTraffic: false },
      lifecycle: { onTimeout: 'kill', autoResume: false },
    };
  }

  @Delete('sandboxes/:id')
  @HttpCode(204)
  async kill(@Req() request: FastifyRequest, @Param('id') id: string): Promise<void> {
    await this.e2b.kill(request.tenant, id);
  }

  @Post('sandboxes/:id/timeout')
  @HttpCode(204)
  async timeout(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Body() body: { timeout?: unknown },
  ): Promise<void> {
    await this.e2b.setTimeout(request.tenant, id, body?.timeout);
  }

  @Post('sandboxes/:id/refreshes')
  @HttpCode(204)
  async refresh(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Body() body: { duration?: unknown },
  ): Promise<void> {
    await this.e2b.setTimeout(request.tenant, id, body?.duration, true);
  }

  @Post([...of('sandboxes/:id/connect'), 'sandboxes/:id/resume'])
  @HttpCode(200)
  async connect(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Body() body: { timeout?: unknown },
  ): Promise<object> {
    return created(await this.e2b.setTimeout(request.tenant, id, body?.timeout, true));
  }

  @Get('sandboxes/:id/metrics')
  async metrics(@Req() request: FastifyRequest, @Param('id') id: string): Promise<object> {
    const { sandbox } = await this.e2b.get(request.tenant, id);
    const { reply } = await this.e2b.sandboxes.with(request.tenant, id, (link) =>
      link.ask<{ usage: SandboxUsageDto }>(id, { op: 'usage' }),
    );
    const { cpuMs, wallMs, memoryBytes } = reply.usage;
    const now = new Date();
    return [
      {
        timestamp: now.toISOString(),
        timestampUnix: Math.floor(now.getTime() / 1000),
        cpuCount: 1,
        cpuUsedPct: wallMs === 0 ? 0 : Math.min(100, (100 * cpuMs) / wallMs),
        memUsed: memoryBytes,
        memTotal: sandbox.limits.memoryBytes,
        memCache: 0,
        // Files live in memory, and count there.
        diskUsed: 0,
        diskTotal: sandbox.limits.memoryBytes,
      },
    ];
  }

  @Get('sandboxes/:id/logs')
  async logs(@Req() request: FastifyRequest, @Param('id') id: string): Promise<object> {
    await this.e2b.get(request.tenant, id);
    return { logs: [], logEntries: [] };
  }

  @Put('sandboxes/:id/network')
  async network(@Req() request: FastifyRequest, @Param('id') id: string): Promise<never> {
    await this.e2b.get(request.tenant, id);
    throw unavailable('access to the network');
  }

  @Post(['sandboxes/:id/pause', 'sandboxes/:id/fork', 'sandboxes/:id/snapshots'])
  async snapshot(@Req() request: FastifyRequest, @Param('id') id: string): Promise<never> {
    await this.e2b.get(request.tenant, id);
    throw unavailable('pausing, forking and snapshots of sandboxes');
  }

  @Get('snapshots')
  snapshots(): object {
    return [];
  }

  @Delete('templates/:id')
  removeTemplate(@Param('id') id: string): never {
    throw new E2bError('not_found', `template '${id}' not found`);
  }

  @Get('templates')
  templates(): object {
    return [];
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function created({ sandbox, record }: E2bSandbox): object {
  return {
    sandboxID: sandbox.id,
    templateID: record.templateId,
    clientID: 'cordon',
    envdVersion: ENVD_VERSION,
    envdAccessToken: record.accessToken || undefined,
    // Some calls of the code interpreter's client carry only this one.
    trafficAccessToken: record.accessToken || undefined,
    domain: null,
  };
}

function listed({ sandbox, record }: E2bSandbox): object {
  const { id, createdAt, expiresAt, limits } = sandbox;
  return {
    sandboxID: id,
    templateID: record.templateId,
    clientID: 'cordon',
    startedAt: createdAt,
    endAt: expiresAt,
    cpuCount: 1,
    memoryMB: Math.round(limits.memoryBytes / MIB),
    diskSizeMB: Math.round(limits.memoryBytes / MIB),
    state: 'running',
    metadata: record.metadata,
    envdVersion: ENVD_VERSION,
    volumeMounts: [],
  };
}
