import {
  type AuditEntry,
  type AuditEvent,
  CreateExecutionDto,
  ExecutionDto,
  ExecutionListDto,
  isTerminal,
  REQUEST_LIMITS,
  STATES,
} from '@cordon/contracts';
import { Controller, Delete, Get, Headers, HttpCode, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { ProblemException } from '../http/problem.js';
import { number, wholeNumber } from '../http/query.js';
import { ExecutionsService } from './executions.service.js';

const HEARTBEAT_MS = 15_000;
const EVENT_ID = /^\d{1,20}-\d{1,20}$/;

/** Aborts when the client goes away. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.on('close', () => controller.abort());
  return controller.signal;
}

@ApiTags('executions')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('run')
@Controller('v1/executions')
export class ExecutionsController {
  constructor(private readonly executions: ExecutionsService) {}

  @Post()
  @ApiOperation({ summary: 'Run a program to its end in a sandbox of its own' })
  @ApiBody({ type: CreateExecutionDto })
  @ApiQuery({
    name: 'wait',
    required: false,
    description: 'Seconds to wait for the result; 200 when it came, 202 otherwise',
  })
  @ApiHeader({ name: 'Idempotency-Key', required: false })
  @ApiOkResponse({ type: ExecutionDto })
  async create(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query('wait') wait?: string,
  ): Promise<void> {
    const seconds = number(wait, 'wait', 0, REQUEST_LIMITS.waitSeconds, 0);
    const key = request.headers['idempotency-key'];
    if (key !== undefined && (typeof key !== 'string' || key.length === 0 || key.length > 255)) {
      throw new ProblemException('invalid-request', 'Idempotency-Key must be 1 to 255 characters');
    }
    let execution = await this.executions.create(request.principal, request.body, key);
    if (seconds > 0) execution = await this.executions.wait(request.tenant, execution.id, seconds, goneSignal(reply));
    const status = seconds > 0 && isTerminal(execution.state) ? 200 : 202;
    reply.status(status).header('location', `/v1/executions/${execution.id}`).send(execution);
  }

  @Get()
  @ApiOperation({ summary: 'List executions, newest first' })
  @ApiQuery({ name: 'limit', required: false })
  @ApiQuery({ name: 'cursor', required: false })
  @ApiQuery({ name: 'state', required: false, enum: STATES })
  @ApiQuery({ name: 'label', required: false, description: 'name=value' })
  @ApiOkResponse({ type: ExecutionListDto })
  async list(
    @Req() request: FastifyRequest,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
    @Query('state') state?: string,
    @Query('label') label?: string,
  ): Promise<ExecutionListDto> {
    const count = wholeNumber(limit, 'limit', 1, 200, 50);
    const place = cursor === undefined ? null : decodeCursor(cursor);
    if (state !== undefined && !(STATES as readonly string[]).includes(state)) {
      throw new ProblemException('invalid-request', undefined, [
        { pointer: '?state', detail: `must be one of ${STATES.join(', ')}` },
      ]);
    }
    if (label !== undefined && !/^[^=]+=/.test(label)) {
      throw new ProblemException('invalid-request', undefined, [{ pointer: '?label', detail: 'must be name=value' }]);
    }
    const [name, value] =
      label === undefined ? [] : [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 1)];
    const { items, nextCursor } = await this.executions.list(
      request.tenant,
      count,
      place,
      (execution) =>
        (state === undefined || execution.state === state) && (name === undefined || execution.labels[name] === value),
    );
    return { items, nextCursor: nextCursor === null ? null : Buffer.from(nextCursor).toString('base64url') };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One execution' })
  @ApiQuery({ name: 'wait', required: false, description: 'Seconds to wait for its end' })
  @ApiOkResponse({ type: ExecutionDto })
  async get(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('wait') wait?: string,
  ): Promise<void> {
    const seconds = number(wait, 'wait', 0, REQUEST_LIMITS.waitSeconds, 0);
    const found = await this.executions.get(request.tenant, id);
    const execution =
      seconds > 0 && !isTerminal(found.state)
        ? await this.executions.wait(request.tenant, id, seconds, goneSignal(reply))
        : found;
    reply.send(execution);
  }

  @Delete(':id')
  @HttpCode(200)
  @ApiOperation({ summary: 'Cancel, queued or running' })
  @ApiOkResponse({ type: ExecutionDto })
  cancel(@Req() request: FastifyRequest, @Param('id') id: string): Promise<ExecutionDto> {
    return this.executions.cancel(request.tenant, id);
  }

  @Get(':id/events')
  @ApiOperation({
    summary: 'Server-sent events: status, stdout, stderr, audit, result. Live, then replayable; Last-Event-ID resumes.',
  })
  @ApiProduces('text/event-stream')
  async events(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    await this.executions.get(request.tenant, id);
    if (lastId !== undefined && !EVENT_ID.test(lastId))
      throw new ProblemException('invalid-request', 'Last-Event-ID is none of ours');
    const gone = goneSignal(reply);
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' });
    for await (const event of this.executions.events(id, lastId ?? '0', HEARTBEAT_MS, gone)) {
      // JSON has no raw line breaks, so one data line holds it whatever the guest printed.
      const text = event ? `id: ${event.id}\nevent: ${event.type}\ndata: ${event.data}\n\n` : ': still here\n\n';
      if (!raw.write(text) && !gone.aborted)
        await new Promise((resolve) => raw.once('drain', resolve).once('close', resolve));
    }
    raw.end();
  }

  @Get(':id/audit')
  @ApiOperation({ summary: 'System calls: NDJSON, or as strace prints them' })
  @ApiProduces('application/x-ndjson', 'text/plain')
  @ApiQuery({ name: 'format', required: false, enum: ['ndjson', 'strace'] })
  @ApiQuery({ name: 'syscall', required: false, description: 'Names, separated by commas' })
  @ApiQuery({ name: 'pid', required: false })
  async audit(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('format') format?: string,
    @Query('syscall') syscall?: string,
    @Query('pid') pid?: string,
    @Headers('accept') accept?: string,
  ): Promise<void> {
    await this.executions.get(request.tenant, id);
    if (format !== undefined && format !== 'strace' && format !== 'ndjson') {
      throw new ProblemException('invalid-request', undefined, [
        { pointer: '?format', detail: 'must be ndjson or strace' },
      ]);
    }
    const strace = format === 'strace' || (format === undefined && (accept ?? '').includes('text/plain'));
    const names = syscall === undefined ? null : new Set(String(syscall).split(','));
    const wantedPid = pid === undefined ? null : wholeNumber(pid, 'pid', 1, 2 ** 31, 0);
    const gone = goneSignal(reply);
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': strace ? 'text/plain; charset=utf-8' : 'application/x-ndjson' });
    for await (const event of this.executions.events(id, '0', HEARTBEAT_MS, gone)) {
      if (event?.type !== 'audit') continue;
      const { records, text } = JSON.parse(event.data) as AuditEvent;
      const lines = records.flatMap((record, index) =>
        matches(record, names, wantedPid)
          ? [strace ? `[pid ${record.tid}] ${text[index]}` : JSON.stringify(record)]
          : [],
      );
      if (lines.length > 0 && !raw.write(`${lines.join('\n')}\n`) && !gone.aborted) {
        await new Promise((resolve) => raw.once('drain', resolve).once('close', resolve));
      }
    }
    raw.end();
  }
}

function matches(record: AuditEntry, names: ReadonlySet<string> | null, pid: number | null): boolean {
  return (names === null || names.has(record.name)) && (pid === null || record.pid === pid);
}

function decodeCursor(cursor: string): string {
  const place = Buffer.from(cursor, 'base64url').toString();
  if (!/^\d+:exe_[a-z0-9]{24}$/.test(place)) {
    throw new ProblemException('invalid-request', undefined, [{ pointer: '?cursor', detail: 'none of ours' }]);
  }
  return place;
}
