import {
  BatchDto,
  CreateBatchDto,
  CreateSubmissionDto,
  type ExecutionDto,
  isTerminal,
  REQUEST_LIMITS,
  SUBMISSION_LIMITS,
  SubmissionDto,
  SubmissionListDto,
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
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ExecutionsService } from '../executions/executions.service.js';
import { AUDIT_RECORD_ID, sendAudit } from '../executions/send-audit.js';
import { sendEvents } from '../executions/send-events.js';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { ApiAudit, type AuditQuery, auditFilter, auditFormat } from '../http/audit-filter.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { labelsOf, number, wholeNumber } from '../http/query.js';
import { toSubmission } from './submission.js';
import { idempotencyKeyOf, SubmissionsService } from './submissions.service.js';

const WAIT = {
  name: 'wait',
  required: false,
  schema: { type: 'number', minimum: 0, maximum: REQUEST_LIMITS.waitSeconds, default: 0 },
} as const;
const IDEMPOTENCY = {
  name: 'Idempotency-Key',
  required: false,
  description: 'The same key and body again give what the first request made',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
} as const;
const VERSION_MOST = 1_000_000;
const LOCATION = { Location: { description: 'Where it is', schema: { type: 'string' as const } } };

@ApiTags('submissions')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('judge')
@Controller('v1/submissions')
export class SubmissionsController {
  constructor(
    private readonly executions: ExecutionsService,
    private readonly submissions: SubmissionsService,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Judge a program: compile it once, run it on every test in a sandbox of its own',
    description:
      'What an execution may ask for and a submission may not (`timeline`, `platform`, `network`) is 422 here, as every unknown field.',
  })
  @ApiBody({ type: CreateSubmissionDto })
  @ApiQuery({ ...WAIT, description: 'Seconds to wait for the verdict; 200 when it came, 202 otherwise' })
  @ApiHeader(IDEMPOTENCY)
  @ApiOkResponse({ type: SubmissionDto, description: 'It was judged', headers: LOCATION })
  @ApiAcceptedResponse({ type: SubmissionDto, description: 'It waits or is being judged', headers: LOCATION })
  @ApiBodyProblems('unknown-runtime', 'conflict', 'quota-exceeded', 'rate-limited', 'queue-full', 'unavailable')
  async create(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query('wait') wait?: string,
  ): Promise<void> {
    const seconds = number(wait, 'wait', 0, REQUEST_LIMITS.waitSeconds, 0);
    const key = idempotencyKeyOf(request.headers['idempotency-key']);
    let record = await this.submissions.create(request.principal, request.body, key);
    if (seconds > 0) {
      record = await this.executions.wait(request.tenant, record.id, seconds, goneSignal(reply), 'sub');
    }
    const status = seconds > 0 && isTerminal(record.state) ? 200 : 202;
    reply.status(status).header('location', `/v1/submissions/${record.id}`).send(toSubmission(record));
  }

  @Post('batch')
  @HttpCode(202)
  @ApiOperation({ summary: 'Many at once, each looked at on its own; the answer has one item for each, in order' })
  @ApiBody({ type: CreateBatchDto })
  @ApiHeader(IDEMPOTENCY)
  @ApiAcceptedResponse({ type: BatchDto })
  @ApiBodyProblems('rate-limited', 'unavailable')
  createBatch(@Req() request: FastifyRequest): Promise<BatchDto> {
    const key = idempotencyKeyOf(request.headers['idempotency-key']);
    return this.submissions.createBatch(request.principal, request.body, key);
  }

  @Get()
  @ApiOperation({ summary: 'List submissions: newest first, or those asked for in the order asked' })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 100, default: 50 } })
  @ApiQuery({
    name: 'cursor',
    required: false,
    description: 'nextCursor of the page before',
    schema: { type: 'string' },
  })
  @ApiQuery({
    name: 'label',
    required: false,
    description: 'name=value; several times: all of them',
    schema: { type: 'array', items: { type: 'string', pattern: '^[^=]+=' }, maxItems: 16 },
  })
  @ApiQuery({ name: 'problem', required: false, description: 'Of a stored problem', schema: { type: 'string' } })
  @ApiQuery({
    name: 'ids',
    required: false,
    description: `At most ${SUBMISSION_LIMITS.batch}, by commas; what is not there is left out`,
    schema: { type: 'string' },
  })
  @ApiQuery({ name: 'batch', required: false, description: 'Those of a batch', schema: { type: 'string' } })
  @ApiOkResponse({ type: SubmissionListDto })
  @ApiProblems('not-found', 'invalid-request')
  async list(
    @Req() request: FastifyRequest,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
    @Query('label') label?: string | string[],
    @Query('problem') problem?: string,
    @Query('ids') ids?: string,
    @Query('batch') batch?: string,
  ): Promise<SubmissionListDto> {
    const { tenant } = request;
    const count = wholeNumber(limit, 'limit', 1, 100, 50);
    const filter = { labels: labelsOf(label), problem: once(problem, 'problem') ?? null };
    const asked = once(ids, 'ids');
    const together = once(batch, 'batch');
    if (asked === undefined && together === undefined) return this.submissions.list(tenant, count, cursor, filter);
    if (asked !== undefined && together !== undefined) throw wrong('batch', 'not together with "ids"');
    if (cursor !== undefined) throw wrong('cursor', 'not together with "ids" or "batch"');
    if (together !== undefined)
      return { items: await this.submissions.ofBatch(tenant, together, filter), nextCursor: null };
    const wanted = (asked ?? '').split(',');
    if (wanted.length > SUBMISSION_LIMITS.batch) throw wrong('ids', `at most ${SUBMISSION_LIMITS.batch}`);
    return { items: await this.submissions.some(tenant, wanted, filter), nextCursor: null };
  }

  @Post(':id/rejudge')
  @HttpCode(202)
  @ApiOperation({ summary: 'Judge it again, as a new submission; of a stored problem, with its latest tests' })
  @ApiQuery({
    name: 'version',
    required: false,
    description: 'Of the problem, instead of the latest',
    schema: { type: 'integer', minimum: 1, maximum: VERSION_MOST },
  })
  @ApiHeader(IDEMPOTENCY)
  @ApiAcceptedResponse({ type: SubmissionDto, description: 'The new one', headers: LOCATION })
  @ApiProblems('not-found', 'invalid-request', 'conflict', 'quota-exceeded', 'queue-full')
  async rejudge(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Param('id') id: string,
    @Query('version') version?: string,
  ): Promise<SubmissionDto> {
    const key = idempotencyKeyOf(request.headers['idempotency-key']);
    const wanted = version === undefined ? undefined : wholeNumber(version, 'version', 1, VERSION_MOST, 1);
    const record = await this.submissions.rejudge(request.principal, id, wanted, key);
    reply.header('location', `/v1/submissions/${record.id}`);
    return toSubmission(record);
  }

  @Get(':id')
  @ApiOperation({ summary: 'One submission' })
  @ApiQuery({ ...WAIT, description: 'Seconds to wait for its verdict' })
  @ApiOkResponse({ type: SubmissionDto })
  @ApiProblems('not-found', 'invalid-request')
  async get(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('wait') wait?: string,
  ): Promise<void> {
    const seconds = number(wait, 'wait', 0, REQUEST_LIMITS.waitSeconds, 0);
    let record = await this.executions.get(request.tenant, id, 'sub');
    if (seconds > 0 && !isTerminal(record.state)) {
      record = await this.executions.wait(request.tenant, id, seconds, goneSignal(reply), 'sub');
    }
    reply.send(toSubmission(record));
  }

  @Delete(':id')
  @HttpCode(200)
  @ApiOperation({ summary: 'Cancel, queued or being judged' })
  @ApiOkResponse({ type: SubmissionDto })
  @ApiProblems('not-found')
  async cancel(@Req() request: FastifyRequest, @Param('id') id: string): Promise<SubmissionDto> {
    return toSubmission(await this.executions.cancel(request.tenant, id, 'sub'));
  }

  @Get(':id/events')
  @ApiOperation({ summary: 'Server-sent events: status, one `test` for each test as it ends, result. Resumable.' })
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
    await this.executions.get(request.tenant, id, 'sub');
    await sendEvents(this.executions, id, lastId, reply, (event) =>
      event.type === 'result'
        ? { ...event, data: JSON.stringify(toSubmission(JSON.parse(event.data) as ExecutionDto)) }
        : event,
    );
  }

  @Get(':id/audit')
  @ApiOperation({
    summary:
      'System calls of its tests, if `audit` asked for them: NDJSON, as strace prints them, or as server-sent events',
  })
  @ApiAudit(AUDIT_RECORD_ID)
  @ApiQuery({
    name: 'test',
    required: false,
    description: 'Of one test, counted from 0',
    schema: { type: 'integer', minimum: 0, maximum: SUBMISSION_LIMITS.tests },
  })
  @ApiQuery({ name: 'program', required: false, schema: { type: 'string', enum: ['submission', 'interactor'] } })
  @ApiProblems('not-found', 'invalid-request')
  async audit(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query() query: AuditQuery,
    @Headers('accept') accept = '',
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    await this.executions.get(request.tenant, id, 'sub');
    const { test, program } = query;
    if (program !== undefined && program !== 'submission' && program !== 'interactor')
      throw wrong('program', 'must be submission or interactor');
    const index = test === undefined ? null : wholeNumber(test as string, 'test', 0, SUBMISSION_LIMITS.tests, 0);
    const asked = auditFilter(query);
    await sendAudit(this.executions, id, reply, {
      format: auditFormat(query, accept),
      lastId,
      wanted: (record, event) =>
        asked(record) &&
        (index === null || event.test === index) &&
        (program === undefined || event.program === program),
    });
  }
}

const wrong = (name: string, detail: string): ProblemException =>
  new ProblemException('invalid-request', undefined, [{ pointer: `?${name}`, detail }]);

/** A query parameter that may be given once. */
function once(value: string | undefined, name: string): string | undefined {
  if (value !== undefined && typeof value !== 'string') throw wrong(name, 'may be given once');
  return value;
}
