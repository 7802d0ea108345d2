import { Readable } from 'node:stream';
import {
  ChangeStoredProblemDto,
  CreateProblemVersionDto,
  CreateStoredProblemDto,
  ProblemTestListDto,
  ProblemVersionDto,
  ProblemVersionListDto,
  RejudgedListDto,
  StoredProblemDto,
  StoredProblemListDto,
  SUBMISSION_LIMITS,
} from '@cordon/contracts';
import { Controller, Delete, Get, Headers, HttpCode, Param, Patch, Post, Query, Req, UseGuards } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiBody,
  ApiConsumes,
  ApiCreatedResponse,
  ApiExtraModels,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { offsetOf, wholeNumber } from '../http/query.js';
import { idempotencyKeyOf, SubmissionsService } from '../submissions/submissions.service.js';
import { ProblemsService } from './problems.service.js';

const VERSION_MOST = 1_000_000;
const VERSION = { name: 'version', schema: { type: 'integer', minimum: 1, maximum: VERSION_MOST } } as const;

@ApiTags('problems')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('judge')
@Controller('v1/problems')
export class ProblemsController {
  constructor(
    private readonly problems: ProblemsService,
    private readonly submissions: SubmissionsService,
  ) {}

  @Post()
  @HttpCode(201)
  @ApiOperation({ summary: 'Make a problem: limits, checker or interactor. Its tests come as versions' })
  @ApiBody({ type: CreateStoredProblemDto })
  @ApiCreatedResponse({ type: StoredProblemDto })
  @ApiBodyProblems('unknown-runtime', 'quota-exceeded', 'rate-limited')
  create(@Req() request: FastifyRequest): Promise<StoredProblemDto> {
    return this.problems.create(request.tenant, request.body);
  }

  @Get()
  @ApiOperation({ summary: 'List problems, newest first' })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 } })
  @ApiQuery({ name: 'cursor', required: false, schema: { type: 'string' } })
  @ApiOkResponse({ type: StoredProblemListDto })
  @ApiProblems('invalid-request')
  async list(
    @Req() request: FastifyRequest,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
  ): Promise<StoredProblemListDto> {
    const count = wholeNumber(limit, 'limit', 1, 200, 50);
    const { items, next } = await this.problems.list(request.tenant, offsetOf(cursor), count);
    return { items, nextCursor: next === null ? null : String(next) };
  }

  @Post(':id/versions')
  @HttpCode(201)
  @ApiOperation({
    summary: 'Upload tests: a new version, which never changes',
    description:
      'A zip archive: NAME.in beside NAME.out (or .ans, .a), or input/NAME beside output/NAME; tests are in natural order of their names. ' +
      'Every other file is an error that names it, but for a `manifest.json` at the top that says what tests count: ' +
      '`{"tests":[{"name":"small/1","points":10,"group":"small"}]}`, names as GET …/tests has them, at most 256 KiB. Or tests as JSON.',
  })
  @ApiConsumes('application/zip', 'application/json')
  @ApiExtraModels(CreateProblemVersionDto)
  @ApiBody({ schema: { $ref: getSchemaPath(CreateProblemVersionDto) } })
  @ApiCreatedResponse({ type: ProblemVersionDto })
  @ApiBodyProblems('not-found', 'conflict', 'quota-exceeded', 'rate-limited')
  createVersion(@Req() request: FastifyRequest, @Param('id') id: string): Promise<ProblemVersionDto> {
    const { tenant, body } = request;
    return body instanceof Readable
      ? this.problems.addArchive(tenant, id, body)
      : this.problems.addTests(tenant, id, body);
  }

  @Get(':id/versions')
  @ApiOperation({ summary: 'Versions of its tests, newest first' })
  @ApiOkResponse({ type: ProblemVersionListDto })
  @ApiProblems('not-found')
  async listVersions(@Req() request: FastifyRequest, @Param('id') id: string): Promise<ProblemVersionListDto> {
    return { items: await this.problems.versions(request.tenant, id) };
  }

  @Delete(':id/versions/:version')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete one version',
    description:
      'Where it was the latest, the one before it is, with its settings; its number is not given again. Submissions of it that are not judged ' +
      'yet end as `error`; those that are stay.',
  })
  @ApiParam(VERSION)
  @ApiNoContentResponse()
  @ApiProblems('not-found', 'invalid-request')
  async deleteVersion(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Param('version') version: string,
  ): Promise<void> {
    await this.problems.deleteVersion(request.tenant, id, wholeNumber(version, 'version', 1, VERSION_MOST, 1));
  }

  @Get(':id/tests')
  @ApiOperation({ summary: 'Its tests: names, sizes, points, groups' })
  @ApiQuery({
    name: 'version',
    required: false,
    description: 'The latest when absent',
    schema: { type: 'integer', minimum: 1, maximum: VERSION_MOST },
  })
  @ApiOkResponse({ type: ProblemTestListDto })
  @ApiProblems('not-found', 'invalid-request')
  listTests(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('version') version?: string,
  ): Promise<ProblemTestListDto> {
    const wanted = version === undefined ? null : wholeNumber(version, 'version', 1, VERSION_MOST, 1);
    return this.problems.tests(request.tenant, id, wanted);
  }

  @Post(':id/rejudge')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Judge its submissions again, newest first, with the latest tests',
    description:
      'New submissions of priority batch, each naming the one it comes from. Submissions that come from a rejudging are left out. ' +
      'A page at a time: go on with nextCursor.',
  })
  @ApiQuery({
    name: 'limit',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: SUBMISSION_LIMITS.rejudge, default: 50 },
  })
  @ApiQuery({ name: 'cursor', required: false, schema: { type: 'string' } })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'The same key again gives what the first request made',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  })
  @ApiAcceptedResponse({ type: RejudgedListDto })
  @ApiProblems('not-found', 'invalid-request')
  async rejudge(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('limit') limit?: string,
    @Query('cursor') cursor?: string,
    @Headers('idempotency-key') key?: string,
  ): Promise<RejudgedListDto> {
    const count = wholeNumber(limit, 'limit', 1, SUBMISSION_LIMITS.rejudge, 50);
    await this.problems.get(request.tenant, id, null);
    return this.submissions.rejudgeAll(request.principal, id, count, cursor, idempotencyKeyOf(key));
  }

  @Get(':id')
  @ApiOperation({ summary: 'One problem' })
  @ApiQuery({ ...VERSION, required: false, description: 'As it was in that version; the latest when absent' })
  @ApiOkResponse({ type: StoredProblemDto })
  @ApiProblems('not-found', 'invalid-request')
  get(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('version') version?: string,
  ): Promise<StoredProblemDto> {
    const wanted = version === undefined ? null : wholeNumber(version, 'version', 1, VERSION_MOST, 1);
    return this.problems.get(request.tenant, id, wanted);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Change its settings, or what its tests count',
    description:
      'A new version, with the tests of the latest; older ones stay as they are, and so do their submissions. Of `limits` each is changed by ' +
      'itself; a `checker` replaces an `interactor` and the other way round; `tests` names those whose points or group change. `defaults` hold ' +
      'for tests that come later: those that are there keep their points and groups. A test that was uploaded without an answer has an ' +
      'empty one: a checker that compares takes it as such, and nothing is refused for it. The title alone, or anything while it has no tests, ' +
      'changes without a version.',
  })
  @ApiBody({ type: ChangeStoredProblemDto })
  @ApiOkResponse({ type: StoredProblemDto })
  @ApiBodyProblems('not-found', 'conflict', 'unknown-runtime', 'quota-exceeded', 'rate-limited')
  change(@Req() request: FastifyRequest, @Param('id') id: string): Promise<StoredProblemDto> {
    return this.problems.change(request.tenant, id, request.body);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete a problem and its tests',
    description: 'Submissions of it that are not judged yet end as `error`; those that are stay.',
  })
  @ApiNoContentResponse()
  @ApiProblems('not-found')
  async delete(@Req() request: FastifyRequest, @Param('id') id: string): Promise<void> {
    await this.problems.delete(request.tenant, id);
  }
}
