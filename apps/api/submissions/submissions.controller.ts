import { CreateSubmissionDto, type ExecutionDto, isTerminal, REQUEST_LIMITS, SubmissionDto } from '@cordon/contracts';
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
import { ExecutionsService, newId } from '../executions/executions.service.js';
import { sendEvents } from '../executions/send-events.js';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { number } from '../http/query.js';
import { toSubmission } from './submission.js';
import { validateSubmission } from './validate.js';

const WAIT = {
  name: 'wait',
  required: false,
  schema: { type: 'number', minimum: 0, maximum: REQUEST_LIMITS.waitSeconds, default: 0 },
} as const;
const LOCATION = { Location: { description: 'Where it is', schema: { type: 'string' as const } } };

@ApiTags('submissions')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('judge')
@Controller('v1/submissions')
export class SubmissionsController {
  constructor(private readonly executions: ExecutionsService) {}

  @Post()
  @ApiOperation({ summary: 'Judge a program: compile it once, run it on every test in a sandbox of its own' })
  @ApiBody({ type: CreateSubmissionDto })
  @ApiQuery({ ...WAIT, description: 'Seconds to wait for the verdict; 200 when it came, 202 otherwise' })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'The same key and body again give what the first request made',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  })
  @ApiOkResponse({ type: SubmissionDto, description: 'It was judged', headers: LOCATION })
  @ApiAcceptedResponse({ type: SubmissionDto, description: 'It waits or is being judged', headers: LOCATION })
  @ApiBodyProblems('unknown-runtime', 'conflict', 'quota-exceeded', 'rate-limited', 'queue-full', 'unavailable')
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
    let record = await this.executions.create(request.principal, request.body, key, newId('sub'), validateSubmission);
    if (seconds > 0) {
      record = await this.executions.wait(request.tenant, record.id, seconds, goneSignal(reply), 'sub');
    }
    const status = seconds > 0 && isTerminal(record.state) ? 200 : 202;
    reply.status(status).header('location', `/v1/submissions/${record.id}`).send(toSubmission(record));
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
}
