import {
  CreateExecutionDto,
  ExecutionDto,
  ExecutionListDto,
  isTerminal,
  REQUEST_LIMITS,
  STATES,
} from '@cordon/contracts';
import { Controller, Delete, Get, Headers, HttpCode, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiBody,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { ApiAudit, type AuditQuery, auditFilter, auditFormat } from '../http/audit-filter.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { labelsOf, number, placeOf, wholeNumber } from '../http/query.js';
import { ExecutionsService } from './executions.service.js';
import { AUDIT_RECORD_ID, sendAudit } from './send-audit.js';
import { sendEvents } from './send-events.js';
import { serverTiming } from './timeline.js';

const WAIT = {
  name: 'wait',
  required: false,
  schema: { type: 'number', minimum: 0, maximum: REQUEST_LIMITS.waitSeconds, default: 0 },
} as const;
const LOCATION = { Location: { description: 'Where it is', schema: { type: 'string' as const } } };

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
  @ApiQuery({ ...WAIT, description: 'Seconds to wait for the result; 200 when it came, 202 otherwise' })
  @ApiQuery({
    name: 'timeline',
    required: false,
    description: 'Any value: where the time went, in the answer’s Server-Timing header',
    schema: { type: 'string' },
  })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'The same key and body again give what the first request made',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  })
  @ApiOkResponse({ type: ExecutionDto, description: 'It has ended', headers: LOCATION })
  @ApiAcceptedResponse({ type: ExecutionDto, description: 'It waits or runs', headers: LOCATION })
  @ApiBodyProblems('unknown-runtime', 'conflict', 'quota-exceeded', 'rate-limited', 'queue-full', 'unavailable')
  async create(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query('wait') wait?: string,
    @Query('timeline') timeline?: string,
  ): Promise<void> {
    const seconds = number(wait, 'wait', 0, REQUEST_LIMITS.waitSeconds, 0);
    const key = request.headers['idempotency-key'];
    if (key !== undefined && (typeof key !== 'string' || key.length === 0 || key.length > 255)) {
      throw new ProblemException('invalid-request', 'Idempotency-Key must be 1 to 255 characters');
    }
    const start = performance.now();
    const { principal, body } = request;
    const execution =
      seconds > 0
        ? await this.executions.createAndWait(principal, body, key, seconds, goneSignal(reply))
        : await this.executions.create(principal, body, key);
    if (timeline !== undefined) reply.header('server-timing', serverTiming(execution, performance.now() - start));
    const status = seconds > 0 && isTerminal(execution.state) ? 200 : 202;
    reply.status(status).header('location', `/v1/executions/${execution.id}`).send(execution);
  }

  @Get()
  @ApiOperation({ summary: 'List executions, newest first' })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 } })
  @ApiQuery({
    name: 'cursor',
    required: false,
    description: 'nextCursor of the page before',
    schema: { type: 'string' },
  })
  @ApiQuery({ name: 'state', required: false, schema: { type: 'string', enum: [...STATES] } })
  @ApiQuery({
    name: 'label',
    required: false,
    description: 'name=value; several times: all of them',
    schema: { type: 'array', items: { type: 'string', pattern: '^[^=]+=' }, maxItems: 16 },
  })
  @ApiOkResponse({ type: ExecutionListDto })
  @ApiProblems('invalid-request')
  async list(
    @Req() request: FastifyRequest,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
    @Query('state') state?: string,
    @Query('label') label?: string | string[],
  ): Promise<ExecutionListDto> {
    const count = wholeNumber(limit, 'limit', 1, 200, 50);
    const place = cursor === undefined ? null : placeOf(cursor);
    if (state !== undefined && !(STATES as readonly string[]).includes(state)) {
      throw new ProblemException('invalid-request', undefined, [
        { pointer: '?state', detail: `must be one of ${STATES.join(', ')}` },
      ]);
    }
    const wanted = labelsOf(label);
    const { items, nextCursor } = await this.executions.list(
      request.tenant,
      count,
      place,
      (execution) =>
        execution.id.startsWith('exe_') &&
        (state === undefined || execution.state === state) &&
        wanted.every(([name, value]) => execution.labels[name] === value),
    );
    return { items, nextCursor: nextCursor === null ? null : Buffer.from(nextCursor).toString('base64url') };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One execution' })
  @ApiQuery({ ...WAIT, description: 'Seconds to wait for its end' })
  @ApiOkResponse({ type: ExecutionDto })
  @ApiProblems('not-found', 'invalid-request')
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
  @ApiProblems('not-found')
  cancel(@Req() request: FastifyRequest, @Param('id') id: string): Promise<ExecutionDto> {
    return this.executions.cancel(request.tenant, id);
  }

  @Get(':id/events')
  @ApiOperation({
    summary: 'Server-sent events: status, stdout, stderr, audit, result. Live, then replayable; Last-Event-ID resumes.',
  })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'Only what came after that event',
    schema: { type: 'string', pattern: '^\\d{1,20}-\\d{1,20}$' },
  })
  @ApiOkResponse({ description: 'The events', content: { 'text/event-stream': { schema: { type: 'string' } } } })
  @ApiProblems('not-found', 'invalid-request')
  async events(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    await this.executions.get(request.tenant, id);
    await sendEvents(this.executions, id, lastId, reply);
  }

  @Get(':id/attach')
  @ApiOperation({
    summary: 'WebSocket: its events as { id, type, data }, and to it stdin, eof and signals',
    description:
      'Messages to it: `{"type":"stdin","data":"…","encoding":"utf8"}` (or base64), `{"type":"eof"}`, `{"type":"signal","signal":"SIGINT"}`. ' +
      'One that is not understood is answered with `{"type":"error"}`. stdin needs `interactive: true`.',
  })
  @ApiResponse({ status: 101, description: 'The WebSocket' })
  @ApiProblems('not-found', 'upgrade-required')
  async attach(@Req() request: FastifyRequest, @Param('id') id: string): Promise<never> {
    await this.executions.get(request.tenant, id);
    throw new ProblemException('upgrade-required');
  }

  @Get(':id/audit')
  @ApiOperation({ summary: 'System calls: NDJSON, as strace prints them, or as server-sent events' })
  @ApiAudit(AUDIT_RECORD_ID)
  @ApiProblems('not-found', 'invalid-request')
  async audit(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query() query: AuditQuery,
    @Headers('accept') accept = '',
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    await this.executions.get(request.tenant, id);
    const wish = { format: auditFormat(query, accept), wanted: auditFilter(query), lastId };
    await sendAudit(this.executions, id, reply, wish);
  }
}
