import {
  CreateSandboxDto,
  ExecDto,
  ExecResultDto,
  ExecStartedDto,
  ExtendSandboxDto,
  PROCESS_NUMBER_MAX,
  type ProcessEvent,
  SandboxDto,
  SandboxListDto,
  SandboxProcessListDto,
  SandboxUsageDto,
  SignalDto,
  StdinDto,
  TERMINAL_SIZE,
} from '@cordon/contracts';
import { Controller, Delete, Get, Headers, HttpCode, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiBody,
  ApiCreatedResponse,
  ApiExtraModels,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { beginStream } from '../http/stream.js';
import { validateDto } from '../http/validate-dto.js';
import { collect } from './exec.js';
import { SandboxesService } from './sandboxes.service.js';
import { processNumber } from './terminals.js';
import { type Exec, validateExec, validateSandbox } from './validate.js';
import type { WorkerLink } from './worker-link.js';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const PROCESS = { name: 'process', schema: { type: 'integer', minimum: 1, maximum: PROCESS_NUMBER_MAX } } as const;
const EVENTS = { 'text/event-stream': { schema: { type: 'string' } } } as const;
const SIZE = (value: number) =>
  ({ type: 'integer', minimum: TERMINAL_SIZE.minimum, maximum: TERMINAL_SIZE.maximum, default: value }) as const;
const HEARTBEAT_MS = 15_000;

@ApiTags('sandboxes')
@ApiExtraModels(ExecResultDto)
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller('v1/sandboxes')
export class SandboxesController {
  constructor(private readonly sandboxes: SandboxesService) {}

  @Post()
  @HttpCode(201)
  @ApiOperation({ summary: 'A sandbox that lives until it is deleted, idle or its time is over' })
  @ApiBody({ type: CreateSandboxDto, required: false, description: 'Absent: all as it comes' })
  @ApiCreatedResponse({ type: SandboxDto })
  @ApiBodyProblems('rate-limited', 'sandbox-limit')
  create(@Req() request: FastifyRequest): Promise<SandboxDto> {
    return this.sandboxes.open(request.principal, validateSandbox(request.body, this.sandboxes.newId()));
  }

  @Get()
  @ApiOperation({ summary: 'Sandboxes, newest first; those that ended are listed for an hour' })
  @ApiOkResponse({ type: SandboxListDto })
  async list(@Req() request: FastifyRequest): Promise<SandboxListDto> {
    return { items: await this.sandboxes.list(request.tenant) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One sandbox; for an hour after its end, too: why it ended, and what it had used' })
  @ApiOkResponse({ type: SandboxDto })
  @ApiProblems('not-found')
  async get(@Req() request: FastifyRequest, @Param('id') id: string): Promise<SandboxDto> {
    return (await this.sandboxes.get(request.tenant, id)).sandbox;
  }

  @Delete(':id')
  @HttpCode(200)
  @ApiOperation({ summary: 'End it, with everything in it' })
  @ApiOkResponse({ type: SandboxDto })
  @ApiProblems('not-found', 'sandbox-ended')
  remove(@Req() request: FastifyRequest, @Param('id') id: string): Promise<SandboxDto> {
    return this.sandboxes.with(request.tenant, id, (link) => link.json<SandboxDto>(`/sandboxes/${id}/end`, {}));
  }

  @Post(':id/extend')
  @HttpCode(200)
  @ApiOperation({ summary: 'Change when its time is over' })
  @ApiBody({ type: ExtendSandboxDto })
  @ApiOkResponse({ type: SandboxDto })
  @ApiBodyProblems('not-found', 'sandbox-ended')
  extend(@Req() request: FastifyRequest, @Param('id') id: string): Promise<SandboxDto> {
    const { ttlSeconds } = validateDto(ExtendSandboxDto, request.body);
    const expiresAt = new Date(Date.now() + ttlSeconds * 1000).toISOString();
    return this.sandboxes.with(request.tenant, id, (link) =>
      link.json<SandboxDto>(`/sandboxes/${id}/extend`, { expiresAt }),
    );
  }

  @Post(':id/exec')
  @ApiOperation({
    summary: 'Run a command in it',
    description:
      'Waits for the end and answers with the result; with `Accept: text/event-stream` its events come as they happen; with `background` only its number comes.',
  })
  @ApiBody({ type: ExecDto })
  @ApiOkResponse({
    description: 'The result, or the events',
    content: { 'application/json': { schema: { $ref: '#/components/schemas/ExecResultDto' } }, ...EVENTS },
  })
  @ApiAcceptedResponse({ type: ExecStartedDto, description: 'It runs in the background' })
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  async exec(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Headers('accept') accept?: string,
  ): Promise<void> {
    const exec = validateExec(request.body);
    const gone = goneSignal(reply);
    await this.sandboxes.with(request.tenant, id, async (link) => {
      const events = this.started(link, id, exec, gone);
      if (exec.start.background) {
        for await (const event of events) {
          if (event.type === 'started') reply.status(202).send({ process: event.process, pid: event.pid });
        }
      } else if ((accept ?? '').includes('text/event-stream')) {
        await streamEvents(reply, await begun(events), gone);
      } else {
        reply.status(200).send(await collect(events));
      }
    });
  }

  /** The events of a new process; its input is on the way once it has started. */
  private async *started(link: WorkerLink, id: string, exec: Exec, gone: AbortSignal): AsyncGenerator<ProcessEvent> {
    let fed: Promise<void> | null = null;
    for await (const event of link.events(`/sandboxes/${id}/start`, exec.start, gone)) {
      if (event.type === 'started' && exec.stdin !== null && fed === null) {
        // A process that does not read all of its input has its reasons.
        fed = link.feed(id, event.process, Buffer.from(exec.stdin, 'utf8'), !exec.openStdin).catch(() => undefined);
      }
      yield event;
    }
    if (exec.start.background) await fed;
  }

  @Get(':id/processes')
  @ApiOperation({ summary: 'What runs in it' })
  @ApiOkResponse({ type: SandboxProcessListDto })
  @ApiProblems('not-found', 'sandbox-ended')
  processes(@Req() request: FastifyRequest, @Param('id') id: string): Promise<SandboxProcessListDto> {
    return this.sandboxes.with(request.tenant, id, async (link) => {
      const { reply } = await link.ask<{ processes: (SandboxProcessListDto['items'][number] & { stream: number })[] }>(
        id,
        { op: 'processes' },
      );
      return { items: reply.processes.map(({ stream, ...rest }) => ({ ...rest, process: stream })) };
    });
  }

  @Get(':id/processes/:process/events')
  @ApiOperation({ summary: 'Attach to a process: what was kept of its output, then what comes; Last-Event-ID resumes' })
  @ApiParam(PROCESS)
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'Only what came after that event',
    schema: { type: 'string', pattern: '^\\d{1,10}$' },
  })
  @ApiOkResponse({ description: 'The events', content: EVENTS })
  @ApiProblems('not-found', 'sandbox-ended', 'invalid-request')
  async events(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Param('process') process: string,
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    const number = processNumber(process);
    if (lastId !== undefined && !/^\d{1,10}$/.test(lastId))
      throw new ProblemException('invalid-request', 'Last-Event-ID is none of ours');
    const from = lastId === undefined ? 0 : Number(lastId) + 1;
    const gone = goneSignal(reply);
    await this.sandboxes.with(request.tenant, id, async (link) => {
      const events = await link.openEvents(`/sandboxes/${id}/follow/${number}?from=${from}`, {}, gone);
      await streamEvents(reply, events, gone);
    });
  }

  @Post(':id/processes/:process/stdin')
  @HttpCode(204)
  @ApiOperation({ summary: 'Standard input of a process started with openStdin; answered when it was taken' })
  @ApiParam(PROCESS)
  @ApiBody({ type: StdinDto })
  @ApiNoContentResponse()
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  async stdin(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('process') process: string,
  ): Promise<void> {
    const number = processNumber(process);
    const { data = '', encoding = 'utf8', end = false } = validateDto(StdinDto, request.body);
    if (encoding === 'base64' && !BASE64.test(data))
      throw new ProblemException('invalid-request', undefined, [{ pointer: '/data', detail: 'not valid base64' }]);
    await this.sandboxes.with(request.tenant, id, (link) => link.feed(id, number, Buffer.from(data, encoding), end));
  }

  @Post(':id/processes/:process/signal')
  @HttpCode(204)
  @ApiOperation({ summary: 'A signal to its process group' })
  @ApiParam(PROCESS)
  @ApiBody({ type: SignalDto })
  @ApiNoContentResponse()
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  async signal(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('process') process: string,
  ): Promise<void> {
    const number = processNumber(process);
    const { signal } = validateDto(SignalDto, request.body);
    await this.sandboxes.with(request.tenant, id, (link) => link.ask(id, { op: 'signal', process: number, signal }));
  }

  @Get(':id/processes/:process/attach')
  @ApiOperation({
    summary: 'WebSocket to a process: its events as { id, type, data }, and to it stdin, eof, signals and sizes',
    description:
      'Messages to it: `{"type":"stdin","data":"…","encoding":"utf8"}` (or base64; a binary message is stdin as it is), `{"type":"eof"}`, ' +
      '`{"type":"signal","signal":"SIGINT"}`, `{"type":"resize","rows":24,"columns":80}`. One that is not understood, or fails, is answered with ' +
      '`{"type":"error"}`. The process goes on when the client leaves; `from` says from which event on one that comes back wants to hear. ' +
      'Closed with 1000 behind the end of the process or of its sandbox, with 1011 when the worker was lost.',
  })
  @ApiParam(PROCESS)
  @ApiQuery({ name: 'from', required: false, schema: { type: 'integer', minimum: 0, default: 0 } })
  @ApiResponse({ status: 101, description: 'The WebSocket' })
  @ApiProblems('not-found', 'sandbox-ended', 'upgrade-required', 'invalid-request')
  async attach(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('process') text: string,
  ): Promise<never> {
    processNumber(text);
    await this.sandboxes.get(request.tenant, id);
    throw new ProblemException('upgrade-required');
  }

  @Get(':id/terminal')
  @ApiOperation({
    summary: 'WebSocket to a new shell on a terminal',
    description: 'As …/processes/{process}/attach; its first event has the number of the process, to come back to.',
  })
  @ApiQuery({ name: 'rows', required: false, schema: SIZE(TERMINAL_SIZE.rows) })
  @ApiQuery({ name: 'columns', required: false, schema: SIZE(TERMINAL_SIZE.columns) })
  @ApiQuery({ name: 'user', required: false, schema: { type: 'string', enum: ['user', 'root'], default: 'user' } })
  @ApiQuery({ name: 'cwd', required: false, schema: { type: 'string', default: '/work' } })
  @ApiResponse({ status: 101, description: 'The WebSocket' })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'upgrade-required', 'invalid-request')
  async terminal(@Req() request: FastifyRequest, @Param('id') id: string): Promise<never> {
    await this.sandboxes.get(request.tenant, id);
    throw new ProblemException('upgrade-required');
  }

  @Get(':id/ports/:port')
  @ApiOperation({
    summary: 'A server that listens on a port inside the sandbox, by any method, WebSockets too',
    description:
      'What follows in the path is the server’s, and so are its answers. Where the server needs an Authorization header, send the API key as `Cordon-Key`. ' +
      'A WebSocket whose server goes without a word, or with its sandbox, is closed with 1014.',
  })
  @ApiParam({ name: 'id', schema: { type: 'string' } })
  @ApiParam({ name: 'port', schema: { type: 'integer', minimum: 1, maximum: 65535 } })
  @ApiOkResponse({ description: 'What the server answers', content: { '*/*': {} } })
  @ApiProblems('not-found', 'sandbox-ended', 'port-unreachable')
  port(): never {
    // What is for a port never comes here (ports.ts).
    throw new ProblemException('not-found', 'a port is a number from 1 to 65535');
  }

  @Get(':id/usage')
  @ApiOperation({ summary: 'What it has used until now; of one that has ended GET /v1/sandboxes/{id} tells' })
  @ApiOkResponse({ type: SandboxUsageDto })
  @ApiProblems('not-found', 'sandbox-ended')
  usage(@Req() request: FastifyRequest, @Param('id') id: string): Promise<SandboxUsageDto> {
    return this.sandboxes.with(
      request.tenant,
      id,
      async (link) => (await link.ask<{ usage: SandboxUsageDto }>(id, { op: 'usage' })).reply.usage,
    );
  }
}

/** The same events; the first has come, so that a refusal is still a problem document. */
async function begun(events: AsyncGenerator<ProcessEvent>): Promise<AsyncIterable<ProcessEvent>> {
  const first = await events.next();
  return (async function* () {
    if (!first.done) yield first.value;
    yield* events;
  })();
}

/** Server-sent events; whoever attaches knows that it is there before it says something. */
async function streamEvents(
  reply: FastifyReply,
  events: AsyncIterable<ProcessEvent>,
  gone: AbortSignal,
): Promise<void> {
  beginStream(reply);
  const heartbeat = setInterval(() => reply.raw.write(': still here\n\n'), HEARTBEAT_MS);
  try {
    for await (const { seq, type, ...data } of events)
      await writeTo(reply, `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`, gone);
    reply.raw.end();
  } finally {
    // Where this failed, the connection is broken off: the client sees that more was to come, and may come back.
    clearInterval(heartbeat);
  }
}
