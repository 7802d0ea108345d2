import { cpus, freemem, release, totalmem } from 'node:os';
import { Controller, Delete, Get, Headers, HttpCode, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ExecutionsService } from '../../executions/executions.service.js';
import { AuthGuard, Scopes } from '../../http/auth.guard.js';
import { goneSignal } from '../../http/gone.js';
import { KeysService } from '../../keys/keys.service.js';
import { JUDGE0_PATH, tokenOf } from './judge0.auth.js';
import { Judge0Refusal } from './judge0.filter.js';
import { Judge0Service } from './judge0.service.js';
import { MULTI_FILE } from './languages.js';
import { JUDGE0_CONFIG } from './limits.js';
import { Judge0Invalid } from './request.js';
import { STATUSES } from './statuses.js';
import { NotUtf8, requestedFields } from './submission.js';

/** What clients take for Judge0's version: it decides how they name languages. */
const VERSION = '1.13.1';
const WAIT_SECONDS = 600;
const PER_PAGE = 20;
const CONVERSION = 'cannot be converted to UTF-8, use base64_encoded=true query parameter';

type Query_ = Readonly<Record<string, string | undefined>>;

/** Judge0 CE 1.13.1. Its document is Judge0's; ours leaves it out. */
@ApiExcludeController()
@UseGuards(AuthGuard)
@Scopes('run', 'judge')
@Controller(JUDGE0_PATH)
export class Judge0Controller {
  constructor(
    private readonly judge0: Judge0Service,
    private readonly executions: ExecutionsService,
    private readonly keys: KeysService,
  ) {}

  @Get()
  root(@Res() reply: FastifyReply): void {
    reply.status(200).send();
  }

  @Post('submissions')
  async create(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Query() query: Query_): Promise<void> {
    const fields = fieldsOf(query);
    const { base64_encoded: encoded, wait } = query;
    const token = await this.judge0.create(request.principal, request.body, encoded === 'true');
    if (wait !== 'true') return void reply.status(201).send({ token });
    await this.judge0.wait(request.tenant, token, WAIT_SECONDS, goneSignal(reply));
    const shown = await this.shown(request.tenant, token, fields, encoded === 'true').catch((error: unknown) => {
      if (error instanceof Judge0Refusal) throw new Judge0Refusal(201, error.message, { token });
      throw error;
    });
    reply.status(201).send(shown);
  }

  @Post('submissions/batch')
  async createBatch(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Query() query: Query_): Promise<void> {
    const { submissions } = (request.body ?? {}) as { submissions?: unknown };
    const bodies = Array.isArray(submissions) ? (submissions as unknown[]) : [];
    checkBatch(bodies.length);
    const answers: object[] = [];
    // One after the other: tokens come in the order of the submissions, which run in that order.
    for (const body of bodies) {
      try {
        answers.push({ token: await this.judge0.create(request.principal, body, query.base64_encoded === 'true') });
      } catch (error) {
        if (!(error instanceof Judge0Invalid)) throw error;
        answers.push(error.errors);
      }
    }
    reply.status(answers.some((answer) => 'token' in answer) ? 201 : 422).send(answers);
  }

  @Get('submissions/batch')
  async showBatch(
    @Req() request: FastifyRequest,
    @Query() query: Query_,
    @Headers('tokens') header?: string,
  ): Promise<object> {
    const fields = fieldsOf(query);
    const tokens = String(header ?? query.tokens ?? '')
      .trim()
      .split(',')
      .filter((token) => token !== '');
    checkBatch(tokens.length);
    const encoded = query.base64_encoded === 'true';
    const submissions = await Promise.all(
      tokens.map((token) => this.judge0.show(request.tenant, token, fields, encoded).catch(conversion('one or more'))),
    );
    return { submissions };
  }

  @Get('submissions')
  async list(@Req() request: FastifyRequest, @Query() query: Query_): Promise<object> {
    await this.authorize(request);
    const fields = fieldsOf(query);
    const whole = (text: string | undefined, fallback: number): number =>
      text === undefined ? fallback : Math.trunc(Number(text)) || 0;
    const page = whole(query.page, 1);
    const perPage = whole(query.per_page, PER_PAGE);
    if (page <= 0) throw new Judge0Refusal(400, `invalid page: ${page}`);
    if (perPage < 0) throw new Judge0Refusal(400, `invalid per_page: ${perPage}`);
    const size = Math.min(perPage, 1000);
    const encoded = query.base64_encoded === 'true';
    const { items, total } = await this.judge0
      .page(request.tenant, (page - 1) * size, size, fields, encoded)
      .catch(conversion('one or more'));
    const pages = size === 0 ? 0 : Math.ceil(total / size);
    return {
      submissions: items,
      meta: {
        current_page: page,
        next_page: page < pages ? page + 1 : null,
        prev_page: page > 1 ? page - 1 : null,
        total_pages: pages,
        total_count: total,
      },
    };
  }

  @Get('submissions/:token')
  show(@Req() request: FastifyRequest, @Param('token') token: string, @Query() query: Query_): Promise<object> {
    return this.shown(request.tenant, token, fieldsOf(query), query.base64_encoded === 'true');
  }

  @Delete('submissions/:token')
  @HttpCode(200)
  async remove(@Req() request: FastifyRequest, @Param('token') token: string, @Query() query: Query_): Promise<object> {
    await this.authorize(request);
    const removed = await this.judge0.remove(request.tenant, token, fieldsOf(query));
    if (removed === null) throw new Judge0Refusal(404, 'Not found');
    if (removed.busy === null) return removed.shown;
    const { id, description } = STATUSES[removed.busy === 'queued' ? 0 : 1];
    throw new Judge0Refusal(400, `submission cannot be deleted because its status is ${id} (${description})`);
  }

  private async shown(tenant: string, token: string, fields: string[], encoded: boolean): Promise<object> {
    const shown = await this.judge0.show(tenant, token, fields, encoded).catch(conversion('this'));
    if (shown === null) throw new Judge0Refusal(404, 'Not found');
    return shown;
  }

  /** X-Auth-User: a key of the same tenant, which may be the same key. */
  private async authorize(request: FastifyRequest): Promise<void> {
    const user = tokenOf(request, 'X-Auth-User');
    const principal = user === null ? null : await this.keys.principalOf(user);
    if (principal?.tenant !== request.tenant) throw new Judge0Refusal(403, 'send a key of yours as X-Auth-User');
  }

  @Get('languages')
  async languages(): Promise<object> {
    return (await this.judge0.languages()).map(({ id, name }) => ({ id, name }));
  }

  @Get('languages/all')
  async allLanguages(): Promise<object> {
    return (await this.judge0.languages()).map(({ id, name }) => ({ id, name, is_archived: false }));
  }

  @Get('languages/:id')
  async language(@Param('id') wanted: string): Promise<object> {
    const language = (await this.judge0.languages()).find(({ id }) => String(id) === wanted);
    if (!language) throw new Judge0Refusal(404, 'Not found');
    const { id, name, runtime, asIs } = language;
    return {
      id,
      name,
      is_archived: false,
      source_file: runtime?.fileName ?? asIs?.fileName ?? null,
      compile_cmd: id === MULTI_FILE ? 'bash compile' : runtime?.compiled ? runtime.name : null,
      run_cmd: id === MULTI_FILE ? 'bash run' : (runtime?.name ?? asIs?.shown ?? null),
    };
  }

  @Get('statuses')
  statuses(): object {
    return STATUSES;
  }

  @Get('config_info')
  config(): object {
    return JUDGE0_CONFIG;
  }

  @Get('system_info')
  system(): object {
    const cores = cpus();
    return {
      Architecture: process.arch === 'x64' ? 'x86_64' : process.arch,
      'CPU(s)': String(cores.length),
      'Model name': cores[0]?.model ?? '',
      Kernel: release(),
      Mem: `${Math.round(totalmem() / 2 ** 20)}Mi`,
      Free: `${Math.round(freemem() / 2 ** 20)}Mi`,
    };
  }

  @Get('about')
  about(): object {
    return { version: VERSION, homepage: '', source_code: '', maintainer: 'Cordon' };
  }

  @Get('version')
  version(@Res() reply: FastifyReply): void {
    reply.type('text/plain').send(VERSION);
  }

  @Get('isolate')
  isolate(@Res() reply: FastifyReply): void {
    reply.type('text/plain').send('Programs run in a Cordon Sentry, not in isolate.');
  }

  @Get('license')
  license(@Res() reply: FastifyReply): void {
    reply.type('text/plain').send('Cordon, Apache License 2.0. The interface is that of Judge0 CE.');
  }

  @Get('statistics')
  async statistics(@Req() request: FastifyRequest): Promise<object> {
    const { total } = await this.judge0.page(request.tenant, 0, 0, [], true);
    const languages = await this.judge0.languages();
    return { created_at: new Date().toISOString(), submissions: { total }, languages: { total: languages.length } };
  }

  @Get('workers')
  async workers(): Promise<object> {
    const [{ waiting, running }, workers] = await Promise.all([
      this.executions.counts(),
      this.executions.registry.workers(),
    ]);
    const available = workers.reduce((sum, { concurrency }) => sum + concurrency, 0);
    const working = Math.min(running, available);
    return [{ queue: 'default', size: waiting, available, idle: available - working, working, paused: 0, failed: 0 }];
  }

  @Post('authenticate')
  authenticate(@Res() reply: FastifyReply): void {
    reply.status(200).send();
  }

  @Post('authorize')
  async authorizes(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const allowed = await this.authorize(request).then(
      () => true,
      () => false,
    );
    reply.status(allowed ? 200 : 403).send();
  }
}

function fieldsOf({ fields }: Query_): string[] {
  const requested = requestedFields(fields);
  if (requested.invalid.length > 0) throw new Judge0Refusal(400, `invalid fields: [${requested.invalid.join(', ')}]`);
  return requested.fields;
}

function checkBatch(size: number): void {
  const most = JUDGE0_CONFIG.max_submission_batch_size;
  if (size > most)
    throw new Judge0Refusal(400, `number of submissions in a batch should be less than or equal to ${most}`);
  if (size === 0) throw new Judge0Refusal(400, 'there should be at least one submission in a batch');
}

/** Text that is no UTF-8 and was not asked for in base64. */
function conversion(which: 'this' | 'one or more'): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof NotUtf8)) throw error;
    const what = which === 'this' ? 'this submission' : 'one or more submissions';
    throw new Judge0Refusal(400, `some attributes for ${what} ${CONVERSION}`);
  };
}
