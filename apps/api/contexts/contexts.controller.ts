import {
  ContextDto,
  type ContextEvent,
  ContextListDto,
  ContextRunDto,
  CreateContextDto,
  type ProblemError,
  REQUEST_LIMITS,
  RunInContextDto,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import { Controller, Delete, Get, Headers, HttpCode, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiCreatedResponse,
  ApiExtraModels,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { checkMap } from '../executions/validate.js';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { beginStream } from '../http/stream.js';
import { validateDto } from '../http/validate-dto.js';
import { absolutePath } from '../sandboxes/validate.js';
import { collectRun } from './collect.js';
import { ContextsService } from './contexts.service.js';

const ENV_NAME = /^[^=\0]+$/;
const HEARTBEAT_MS = 15_000;

@ApiTags('contexts')
@ApiExtraModels(ContextRunDto)
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller('v1/sandboxes/:id/contexts')
export class ContextsController {
  constructor(private readonly contexts: ContextsService) {}

  @Post()
  @HttpCode(201)
  @ApiOperation({
    summary: 'A code context: an interpreter that keeps its variables from one run to the next',
    description:
      'At most 16 in a sandbox. It ends with its sandbox. A bash one keeps variables, functions, aliases, options, descriptors and its directory; ' +
      '`exit` ends it, and a trap for INT ends with its run.',
  })
  @ApiBody({ type: CreateContextDto })
  @ApiCreatedResponse({ type: ContextDto })
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'conflict', 'unknown-runtime')
  create(@Req() request: FastifyRequest, @Param('id') id: string): Promise<ContextDto> {
    const { language, cwd, env } = validateDto(CreateContextDto, request.body);
    return this.contexts.create(request.tenant, id, {
      language,
      cwd: cwd === undefined ? WORK_DIRECTORY : absolutePath(cwd, '/cwd'),
      env: checkedEnv(env),
    });
  }

  @Get()
  @ApiOperation({ summary: 'The code contexts of a sandbox' })
  @ApiOkResponse({ type: ContextListDto })
  @ApiProblems('not-found', 'sandbox-ended')
  async list(@Req() request: FastifyRequest, @Param('id') id: string): Promise<ContextListDto> {
    return { items: await this.contexts.list(request.tenant, id) };
  }

  @Get(':context')
  @ApiOperation({ summary: 'One code context' })
  @ApiOkResponse({ type: ContextDto })
  @ApiProblems('not-found', 'sandbox-ended')
  get(@Req() request: FastifyRequest, @Param('id') id: string, @Param('context') context: string): Promise<ContextDto> {
    return this.contexts.get(request.tenant, id, context);
  }

  @Delete(':context')
  @HttpCode(200)
  @ApiOperation({ summary: 'End it; what runs in it ends as `died`' })
  @ApiOkResponse({ type: ContextDto })
  @ApiProblems('not-found', 'sandbox-ended')
  remove(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('context') context: string,
  ): Promise<ContextDto> {
    return this.contexts.delete(request.tenant, id, context);
  }

  @Post(':context/restart')
  @HttpCode(200)
  @ApiOperation({ summary: 'A new interpreter under the same id, dead or alive: it knows nothing of before' })
  @ApiOkResponse({ type: ContextDto })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'conflict', 'unknown-runtime')
  restart(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('context') context: string,
  ): Promise<ContextDto> {
    return this.contexts.restart(request.tenant, id, context);
  }

  @Post(':context/interrupt')
  @HttpCode(200)
  @ApiOperation({ summary: 'As Ctrl-C: the run under way ends as `interrupted`, unless its code will not have it' })
  @ApiOkResponse({ type: ContextDto })
  @ApiProblems('not-found', 'sandbox-ended')
  interrupt(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('context') context: string,
  ): Promise<ContextDto> {
    return this.contexts.interrupt(request.tenant, id, context);
  }

  @Post(':context/run')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Run code in it',
    description:
      'Waits for the end and answers with all that came of it; with `Accept: text/event-stream` its events come as they happen: `stdout`, `stderr`, `result`, `error`, and at last `end`. One run at a time; others wait in order. A client that leaves interrupts its run.',
  })
  @ApiBody({ type: RunInContextDto })
  @ApiOkResponse({
    description: 'What came of it, or the events',
    content: {
      'application/json': { schema: { $ref: '#/components/schemas/ContextRunDto' } },
      'text/event-stream': { schema: { type: 'string' } },
    },
  })
  @ApiBodyProblems('not-found', 'sandbox-ended', 'conflict', 'queue-full')
  async run(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Param('context') context: string,
    @Headers('accept') accept?: string,
  ): Promise<void> {
    const { code, timeoutMs, env } = validateDto(RunInContextDto, request.body);
    const run = { code, timeoutMs, env: checkedEnv(env) };
    const gone = goneSignal(reply);
    const events = await this.contexts.begin(request.tenant, id, context, run, gone);
    if ((accept ?? '').includes('text/event-stream')) await stream(reply, events, gone);
    else reply.status(200).send(await collectRun(events));
  }
}

function checkedEnv(env: Record<string, string> | undefined): Record<string, string> {
  const errors: ProblemError[] = [];
  const checked = checkMap(env, '/env', REQUEST_LIMITS.environment, ENV_NAME, errors);
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors);
  return checked;
}

/** Server-sent events. */
async function stream(reply: FastifyReply, events: AsyncIterable<ContextEvent>, gone: AbortSignal): Promise<void> {
  beginStream(reply);
  const heartbeat = setInterval(() => reply.raw.write(': still here\n\n'), HEARTBEAT_MS);
  try {
    for await (const { type, ...data } of events)
      await writeTo(reply, `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`, gone);
    reply.raw.end();
  } finally {
    clearInterval(heartbeat);
  }
}
