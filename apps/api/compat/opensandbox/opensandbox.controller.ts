import {
  All,
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Post,
  Query,
  Req,
  UseGuards,
} from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { AuthGuard, Scopes } from '../../http/auth.guard.js';
import { fieldsOf, metadataPatch } from './create-body.js';
import { portPrefix, TOKEN_HEADER } from './data-plane.js';
import { OPENSANDBOX_PATH } from './opensandbox.auth.js';
import { invalid, OpenSandboxError, unavailable } from './opensandbox.errors.js';
import { type Found, OpenSandboxService } from './opensandbox.service.js';

const PAGE = { size: 20, most: 200 };
const PORT_MAX = 65_535;
type Query_ = Readonly<Record<string, string | string[] | undefined>>;

/** OpenSandbox's lifecycle API. Its document is OpenSandbox's; ours leaves it out. */
@ApiExcludeController()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller(OPENSANDBOX_PATH)
export class OpenSandboxController {
  constructor(private readonly opensandbox: OpenSandboxService) {}

  @Post('sandboxes')
  @HttpCode(202)
  async create(@Req() request: FastifyRequest, @Body() body: unknown): Promise<object> {
    const {
      image: _image,
      extensions: _extensions,
      ...created
    } = shown(await this.opensandbox.create(request.principal, body));
    return created;
  }

  @Get('sandboxes')
  async list(@Req() request: FastifyRequest, @Query() query: Query_): Promise<object> {
    const page = whole(query.page, 'page', 1, Number.MAX_SAFE_INTEGER);
    const pageSize = whole(query.pageSize, 'pageSize', PAGE.size, PAGE.most);
    const states = [query.state ?? []].flat().flatMap((state) => state.split(','));
    const wanted = [...new URLSearchParams([query.metadata ?? ''].flat().join('&'))];
    const matching = (await this.opensandbox.list(request.tenant)).filter(
      (found) =>
        (states.length === 0 || states.includes(stateOf(found))) &&
        wanted.every(([name, value]) => found.metadata[name] === value),
    );
    const totalPages = Math.ceil(matching.length / pageSize);
    return {
      items: matching.slice((page - 1) * pageSize, page * pageSize).map(shown),
      pagination: { page, pageSize, totalItems: matching.length, totalPages, hasNextPage: page < totalPages },
    };
  }

  @Get('sandboxes/:id')
  async get(@Req() request: FastifyRequest, @Param('id') id: string): Promise<object> {
    return shown(await this.opensandbox.get(request.tenant, id));
  }

  @Delete('sandboxes/:id')
  @HttpCode(204)
  async kill(@Req() request: FastifyRequest, @Param('id') id: string): Promise<void> {
    await this.opensandbox.kill(request.tenant, id);
  }

  @Patch('sandboxes/:id/metadata')
  async patch(@Req() request: FastifyRequest, @Param('id') id: string, @Body() body: unknown): Promise<object> {
    return shown(await this.opensandbox.patch(request.tenant, id, metadataPatch(body)));
  }

  @Post('sandboxes/:id/renew-expiration')
  @HttpCode(200)
  async renew(@Req() request: FastifyRequest, @Param('id') id: string, @Body() body: unknown): Promise<object> {
    const { expiresAt } = await this.opensandbox.renew(request.tenant, id, fieldsOf(body).expiresAt);
    return { expiresAt };
  }

  @Get('sandboxes/:id/endpoints/:port')
  async endpoint(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('port') given: string,
    @Query('expires') expires?: string,
  ): Promise<object> {
    const port = Number(given);
    if (!/^[1-9]\d*$/.test(given) || port > PORT_MAX)
      throw new OpenSandboxError(400, 'DOCKER::INVALID_PORT', `port must be 1 to ${PORT_MAX}`);
    if (expires !== undefined) throw unavailable('signed endpoints');
    const { record } = await this.opensandbox.running(request.tenant, id);
    // Where the client found us, others of its kind do.
    return {
      endpoint: `${request.headers.host}${portPrefix(id, port)}`,
      headers: { [TOKEN_HEADER]: record.accessToken },
    };
  }

  @Post(['sandboxes/:id/pause', 'sandboxes/:id/resume', 'sandboxes/:id/snapshots'])
  async snapshot(@Req() request: FastifyRequest, @Param('id') id: string): Promise<never> {
    await this.opensandbox.running(request.tenant, id);
    throw unavailable('pausing and snapshots of sandboxes');
  }

  @Get('snapshots')
  snapshots(): object {
    const pagination = { page: 1, pageSize: PAGE.size, totalItems: 0, totalPages: 0, hasNextPage: false };
    return { items: [], pagination };
  }

  @All('snapshots/:id')
  snapshotOf(@Param('id') id: string): never {
    throw new OpenSandboxError(404, 'SNAPSHOT_NOT_FOUND', `Snapshot ${id} not found`);
  }

  @All('*')
  other(@Req() { method, url }: FastifyRequest): never {
    throw new OpenSandboxError(404, 'NOT_FOUND', `${method} ${url.split('?')[0]}: no such place`);
  }
}

function whole(given: string | string[] | undefined, name: string, standard: number, most: number): number {
  if (given === undefined) return standard;
  const value = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : 0;
  if (value < 1 || value > most) throw invalid(`${name} must be a whole number, 1 to ${most}`);
  return value;
}

const stateOf = ({ sandbox }: Found): 'Running' | 'Failed' | 'Terminated' => {
  if (sandbox.state === 'running') return 'Running';
  return sandbox.endReason === 'error' || sandbox.endReason === 'worker_lost' ? 'Failed' : 'Terminated';
};

function shown(found: Found): Record<string, unknown> {
  const { sandbox, record, metadata } = found;
  const state = stateOf(found);
  return {
    id: sandbox.id,
    image: record.image,
    status: {
      state,
      reason: sandbox.endReason ?? 'running',
      message: sandbox.endReason === null ? 'The sandbox runs' : `The sandbox has ended: ${sandbox.endReason}`,
      ...(state === 'Running' ? { lastTransitionAt: sandbox.createdAt } : {}),
    },
    metadata,
    extensions: record.extensions,
    platform: record.platform ?? undefined,
    entrypoint: record.entrypoint,
    expiresAt: sandbox.expiresAt,
    createdAt: sandbox.createdAt,
  };
}
