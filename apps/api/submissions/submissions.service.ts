import { createHash, randomBytes } from 'node:crypto';
import {
  type BatchDto,
  type BatchItemDto,
  type ExecutionDto,
  type ExecutionJob,
  type Priority,
  type RejudgedDto,
  type RejudgedListDto,
  SUBMISSION_LIMITS,
  type SubmissionDto,
} from '@cordon/contracts';
import { BatchStore, keys, type Principal } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService, newId } from '../executions/executions.service.js';
import { limitsOf } from '../executions/validate.js';
import { ProblemException } from '../http/problem.js';
import { placeOf } from '../http/query.js';
import { ProblemsService } from '../problems/problems.service.js';
import { ApiSettings } from '../settings.js';
import { type JudgedExecution, toSubmission } from './submission.js';
import { over, validateSubmission } from './validate.js';

const BATCH_ID = /^bat_[0-9a-f]{24}$/;

export interface SubmissionFilter {
  readonly labels: readonly (readonly [string, string])[];
  readonly problem: string | null;
}

/** Throws ProblemException (422) for a key that is none. */
export function idempotencyKeyOf(key: string | string[] | undefined): string | undefined {
  if (key !== undefined && (typeof key !== 'string' || key.length === 0 || key.length > 255))
    throw new ProblemException('invalid-request', 'Idempotency-Key must be 1 to 255 characters');
  return key;
}

/** Submissions: records of the store of executions whose jobs are to be judged. */
@Injectable()
export class SubmissionsService {
  private readonly batches: BatchStore;

  constructor(
    private readonly executions: ExecutionsService,
    private readonly problems: ProblemsService,
    settings: ApiSettings,
  ) {
    this.batches = new BatchStore(executions.redis, settings.store.retentionSeconds);
  }

  /** Validates and queues; an idempotency key that was used gives what it made. */
  async create(
    principal: Principal,
    body: unknown,
    idempotencyKey: string | undefined,
    batch: string | null = null,
  ): Promise<ExecutionDto> {
    // Looked up before the body is known to be one; anything but a name and a number is told below.
    const { problem: name, version } = (body ?? {}) as { problem?: unknown; version?: unknown };
    const problem =
      typeof name === 'string'
        ? await this.problems.named(principal.tenant, name, typeof version === 'number' ? version : undefined)
        : null;
    return this.executions.create(
      principal,
      body,
      idempotencyKey,
      newId('sub'),
      (program, id, runtimes, destinations) =>
        validateSubmission(program, id, runtimes, destinations, { problem, batch }),
    );
  }

  /** Each on its own, in order. With an idempotency key, what was made before is found again, item by item. */
  async createBatch(principal: Principal, body: unknown, idempotencyKey: string | undefined): Promise<BatchDto> {
    const { tenant } = principal;
    const id = `bat_${
      idempotencyKey === undefined
        ? randomBytes(12).toString('hex')
        : createHash('sha256').update(`${tenant} ${idempotencyKey}`).digest('hex').slice(0, 24)
    }`;
    const items: BatchItemDto[] = [];
    for (const [index, item] of itemsOf(body).entries()) {
      const key = idempotencyKey === undefined ? undefined : `${idempotencyKey} ${index}`;
      items.push(await attempt(() => this.create(principal, item, key, id)));
    }
    const made = items.flatMap(({ submission }) => (submission ? [submission.id] : []));
    // Sent again, and not all of it: what came with it before stays.
    const before = idempotencyKey === undefined ? null : await this.batches.get(id, tenant);
    await this.batches.save(id, tenant, [...new Set([...made, ...(before ?? [])])]);
    return { id, items };
  }

  async list(
    tenant: string,
    limit: number,
    cursor: string | undefined,
    filter: SubmissionFilter,
  ): Promise<{ items: SubmissionDto[]; nextCursor: string | null }> {
    const wanted = (execution: ExecutionDto): boolean => execution.id.startsWith('sub_') && matches(execution, filter);
    const place = cursor === undefined ? null : placeOf(cursor);
    const where = filter.problem === null ? undefined : keys.problemSubmissions(filter.problem);
    const { items, nextCursor } = await this.executions.list(tenant, limit, place, wanted, where);
    return {
      items: items.map((item) => toSubmission(item)),
      nextCursor: nextCursor === null ? null : Buffer.from(nextCursor).toString('base64url'),
    };
  }

  /** Those of `ids` that are there, in that order. */
  async some(tenant: string, ids: readonly string[], filter: SubmissionFilter): Promise<SubmissionDto[]> {
    const found = await Promise.all(
      ids.map((id) =>
        this.executions.get(tenant, id, 'sub').catch((error: unknown) => {
          if (error instanceof ProblemException) return null;
          throw error;
        }),
      ),
    );
    return found.filter((one) => one !== null && matches(one, filter)).map((one) => toSubmission(one as ExecutionDto));
  }

  async ofBatch(tenant: string, batch: string, filter: SubmissionFilter): Promise<SubmissionDto[]> {
    const ids = BATCH_ID.test(batch) ? await this.batches.get(batch, tenant) : null;
    if (!ids) throw new ProblemException('not-found', 'no such batch');
    return this.some(tenant, ids, filter);
  }

  /** A new submission with the old one's source; of a stored problem, with its latest tests or those of `version`. */
  async rejudge(
    principal: Principal,
    id: string,
    version: number | undefined,
    idempotencyKey: string | undefined,
    priority?: Priority,
  ): Promise<ExecutionDto> {
    const { tenant } = principal;
    const record = await this.executions.get(tenant, id, 'sub');
    const job = await this.executions.jobOf(tenant, id);
    if (!job?.judge) throw new ProblemException('conflict', 'its source is not kept any more: it was too long');
    const again = await this.jobAgain(tenant, job, id, version);
    return this.executions.create(
      principal,
      { rejudge: id, version },
      idempotencyKey,
      newId('sub'),
      (_body, newOne) => ({
        job: { ...again, id: newOne },
        labels: record.labels,
        priority: priority ?? record.priority,
        webhook: null,
      }),
    );
  }

  private async jobAgain(
    tenant: string,
    job: ExecutionJob,
    rejudgeOf: string,
    version: number | undefined,
  ): Promise<ExecutionJob> {
    const { judge } = job;
    if (!judge) throw new Error('the job is no submission');
    const problem = judge.origin?.problem ?? null;
    if (problem === null) {
      if (version !== undefined)
        throw new ProblemException('invalid-request', undefined, [
          { pointer: '?version', detail: 'it is of no stored problem' },
        ]);
      return { ...job, judge: { ...judge, origin: { problem, version: null, batch: null, rejudgeOf } } };
    }
    const named = await this.problems.named(tenant, problem, version);
    if (!named) {
      if (version === undefined) throw new ProblemException('conflict', 'its problem was deleted');
      throw new ProblemException('invalid-request', undefined, [
        { pointer: '?version', detail: 'the problem has no such version' },
      ]);
    }
    const { own = { limits: {}, compileLimits: {} } } = judge;
    const { settings } = named;
    return {
      ...job,
      limits: limitsOf(over(settings.limits, own.limits)),
      judge: {
        ...judge,
        compileLimits: limitsOf(over(settings.compileLimits, own.compileLimits)),
        origin: { problem, version: named.version, batch: null, rejudgeOf },
      },
    };
  }

  /** A page of a problem's submissions, newest first. */
  async rejudgeAll(
    principal: Principal,
    problem: string,
    limit: number,
    cursor: string | undefined,
    idempotencyKey: string | undefined,
  ): Promise<RejudgedListDto> {
    const place = cursor === undefined ? null : placeOf(cursor);
    const first = (execution: JudgedExecution): boolean => (execution.origin?.rejudgeOf ?? null) === null;
    const where = keys.problemSubmissions(problem);
    const { items, nextCursor } = await this.executions.list(principal.tenant, limit, place, first, where);
    const again: RejudgedDto[] = [];
    for (const { id } of items) {
      const key = idempotencyKey === undefined ? undefined : `${idempotencyKey} ${id}`;
      again.push({ from: id, ...(await attempt(() => this.rejudge(principal, id, undefined, key, 'batch'))) });
    }
    return { items: again, nextCursor: nextCursor === null ? null : Buffer.from(nextCursor).toString('base64url') };
  }
}

/** What came of one of many. */
async function attempt(make: () => Promise<ExecutionDto>): Promise<BatchItemDto> {
  try {
    return { submission: toSubmission(await make()) };
  } catch (error) {
    if (error instanceof ProblemException) return { problem: error.problem };
    throw error;
  }
}

/** The items of a batch, not looked at yet. Throws ProblemException (422). */
function itemsOf(body: unknown): unknown[] {
  const wrong = (pointer: string, detail: string): ProblemException =>
    new ProblemException('invalid-request', undefined, [{ pointer, detail }]);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw wrong('', 'must be an object');
  for (const name of Object.keys(body)) if (name !== 'submissions') throw wrong(`/${name}`, 'no such field');
  const { submissions } = body as { submissions?: unknown };
  const most = SUBMISSION_LIMITS.batch;
  if (!Array.isArray(submissions) || submissions.length === 0 || submissions.length > most)
    throw wrong('/submissions', `must be a list of 1 to ${most} submissions`);
  return submissions;
}

function matches(execution: JudgedExecution, { labels, problem }: SubmissionFilter): boolean {
  return (
    labels.every(([name, value]) => execution.labels[name] === value) &&
    (problem === null || execution.origin?.problem === problem)
  );
}
