import type {
  EventType,
  ExecutionDto,
  ExecutionJob,
  ExecutionResult,
  ExecutionState,
  JudgeOrigin,
  Priority,
  StreamEvent,
} from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { APPEND, BEAT, CREATE, FINISH, HAND_BACK, LEAVE, SWEEP, TAKE } from './execution-scripts.js';
import type { Principal } from './key-store.js';
import { keys } from './names.js';

/** What is known of an execution before it runs. */
export interface NewExecution {
  readonly id: string;
  readonly principal: Principal;
  readonly priority: Priority;
  readonly job: ExecutionJob;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  /** Told of the end. The URL is normalised: no spaces. */
  readonly webhook?: { readonly id: string; readonly url: string };
  /** `place` in Redis and the request's fingerprint. */
  readonly idempotency?: { readonly place: string; readonly fingerprint: string };
}

/** Bounds and times that the operator chooses. */
export interface StoreSettings {
  /** Executions that may wait at once, of all keys together. */
  readonly queueMost: number;
  /** How long a finished execution and its stream are kept. */
  readonly retentionSeconds: number;
  /** How long an Idempotency-Key is remembered. */
  readonly idempotencySeconds: number;
}

export const STORE_DEFAULTS: StoreSettings = {
  queueMost: 100_000,
  retentionSeconds: 24 * 3600,
  idempotencySeconds: 24 * 3600,
};

/** Why an execution was not created: the queue is full, or the key has too many waiting or its day's quota is used up. */
export type Refused = 'full' | 'queued' | 'executions' | 'cpu';

export type Creation =
  | {
      readonly what: 'created';
      readonly id: string;
      readonly waiting: number;
      readonly tickets: number;
      readonly woken: boolean;
    }
  | { readonly what: 'there'; readonly id: string; readonly fingerprint: string }
  | { readonly what: Refused };

/** An execution that begins here. */
export interface Taken {
  readonly id: string;
  /** Which attempt this is; -1: it is to be canceled instead. */
  readonly attempt: number;
  readonly job: ExecutionJob | null;
  readonly record: Record<string, string>;
}

export interface FinishOptions {
  /** Only from that state. */
  readonly only?: ExecutionState;
  /** What `take` gave, so that it need not be read again. */
  readonly record?: Record<string, string>;
  /** What the stream does not have yet. */
  readonly events?: readonly { type: EventType; data: unknown }[];
}

/** Lost workers after which an execution is given up. */
export const MAX_LOSSES = 2;
/** Sweeps of any process that are further apart were not missed: Redis was away, or stood still. */
const SWEEP_PAUSE_MS = 3_000;

/** The UTC day that quotas count in. */
export const dayOf = (date: Date): string => date.toISOString().slice(0, 10);

/** Characters of output after which a page of a list ends. */
const PAGE_OUTPUT_MOST = 8 << 20;

interface Meta {
  readonly runtime: string | null;
  readonly labels: Record<string, string>;
  readonly auditLevel: ExecutionDto['audit']['level'];
  /** Of a submission. */
  readonly origin?: JudgeOrigin;
}

const metaOf = (job: ExecutionJob, labels: Readonly<Record<string, string>>): Meta => ({
  runtime: job.runtime,
  labels: { ...labels },
  auditLevel: job.auditLevel,
  origin: job.judge?.origin,
});

const EMPTY_RESULT: ExecutionResult = {
  exitCode: null,
  signal: null,
  stdout: '',
  stdoutEncoding: 'utf8',
  stderr: '',
  stderrEncoding: 'utf8',
  stdoutTruncated: false,
  stderrTruncated: false,
  detail: null,
  usage: null,
  platform: null,
  auditRecords: 0,
  auditTruncated: false,
};

type Script = (...args: (string | number)[]) => Promise<unknown>;

/** A Lua script as a command that sends its digest. */
function script(redis: Redis, name: string, lua: string, numberOfKeys = 0): Script {
  redis.defineCommand(name, { lua, numberOfKeys });
  const command = (redis as unknown as Record<string, Script>)[name];
  return (...args) => command.apply(redis, args);
}

function toRecord(flat: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let index = 0; index < flat.length; index += 2) record[flat[index]] = flat[index + 1];
  return record;
}

const limit = (value: number | null): string => (value === null ? '' : String(value));

/** Executions in Redis: one hash and one stream each, and the lanes they wait in. Every change is one script. */
export class ExecutionStore {
  private readonly scripts: Record<
    'create' | 'take' | 'finish' | 'append' | 'handBack' | 'beat' | 'sweep' | 'leave',
    Script
  >;

  constructor(
    private readonly redis: Redis,
    private readonly settings: StoreSettings = STORE_DEFAULTS,
  ) {
    this.scripts = {
      create: script(redis, 'cordonCreate', CREATE, 1),
      take: script(redis, 'cordonTake', TAKE),
      finish: script(redis, 'cordonFinish', FINISH),
      append: script(redis, 'cordonAppend', APPEND),
      handBack: script(redis, 'cordonHandBack', HAND_BACK),
      beat: script(redis, 'cordonBeat', BEAT),
      sweep: script(redis, 'cordonSweep', SWEEP),
      leave: script(redis, 'cordonLeave', LEAVE),
    };
  }

  /** Accepts an execution: once this resolves with `created` it is on disk, stands in its lane and will run. */
  async create(created: NewExecution): Promise<Creation> {
    const { id, principal, priority, job, labels, createdAt, idempotency, webhook } = created;
    const { limits } = principal;
    const meta = metaOf(job, labels);
    const problem = meta.origin?.problem ?? null;
    const cpuMs = limits.cpuSecondsPerDay === null ? '' : limits.cpuSecondsPerDay * 1000;
    const [what, there, fingerprint, waiting, tickets, woken] = (await this.scripts.create(
      idempotency?.place ?? '',
      id,
      principal.tenant,
      principal.keyId,
      priority,
      createdAt.toISOString(),
      createdAt.getTime(),
      JSON.stringify(meta),
      JSON.stringify(job),
      idempotency?.fingerprint ?? '-',
      this.settings.idempotencySeconds,
      this.settings.retentionSeconds,
      dayOf(createdAt),
      this.settings.queueMost,
      limit(limits.queued),
      limit(limits.executionsPerDay),
      cpuMs,
      limit(limits.concurrency),
      webhook ? `${webhook.id} ${webhook.url}` : '',
      problem === null ? '' : keys.problemSubmissions(problem),
    )) as [Creation['what'], string, string, number, number, number];
    if (what === 'created') return { what, id: there, waiting, tickets, woken: woken > 0 };
    if (what === 'there') return { what, id: there, fingerprint };
    return { what };
  }

  /** A running one is told to end: the mark is for one that is between two workers, the message for one that runs. */
  async requestCancel(id: string): Promise<void> {
    await this.redis.multi().hset(keys.execution(id), 'cancel', '1').publish(keys.cancel, id).exec();
  }

  /** False when this attempt is not the current one any more. */
  async handBack(id: string, attempt: number): Promise<boolean> {
    const now = new Date();
    return (await this.scripts.handBack(id, attempt, now.toISOString(), now.getTime())) === 1;
  }

  /**
   * The execution whose turn it is begins on `worker`; null when none can. `more`: it could take another one. A worker that could, or
   * that finds nothing, is woken by the next execution.
   */
  async take(worker: string, more: boolean): Promise<Taken | null> {
    const answer = (await this.scripts.take(worker, new Date().toISOString(), more ? 1 : 0)) as
      | [string, number, string[]]
      | null;
    if (!answer) return null;
    const [id, attempt, flat] = answer;
    const record = toRecord(flat);
    return { id, attempt, record, job: record.job === undefined ? null : (JSON.parse(record.job) as ExecutionJob) };
  }

  /**
   * Ends an execution. attempt 0: whatever the attempt. False when it had its end already.
   */
  async finish(
    id: string,
    attempt: number,
    state: ExecutionState,
    result: Partial<ExecutionResult>,
    { only, record, events = [] }: FinishOptions = {},
  ): Promise<boolean> {
    const now = new Date();
    const finishedAt = now.toISOString();
    const text = JSON.stringify({ ...EMPTY_RESULT, ...result });
    const before = record ?? (await this.redis.hgetall(keys.execution(id)));
    if (!before.tenant) return false;
    const shown = toDto(id, { ...before, state, finishedAt, result: text });
    const cpuMs = result.usage?.cpuMs ?? 0;
    const last = events.flatMap(({ type, data }) => [type, JSON.stringify(data)]);
    const place = [id, attempt, only ?? '', state, finishedAt, text, JSON.stringify(shown), cpuMs, dayOf(now)];
    return (await this.scripts.finish(...place, ...last)) === 1;
  }

  /** False when this attempt is not the current one any more. */
  async append(id: string, attempt: number, events: readonly { type: EventType; data: unknown }[]): Promise<boolean> {
    const flat = events.flatMap(({ type, data }) => [type, JSON.stringify(data)]);
    return (await this.scripts.append(id, attempt, ...flat)) === 1;
  }

  /** Says that a worker lives and runs `known`. -> executions that are its own here and that it does not know. */
  async beat(worker: string, known: Iterable<string>): Promise<string[]> {
    return (await this.scripts.beat(worker, ...known)) as string[];
  }

  /** It is woken no more. */
  async rest(worker: string): Promise<void> {
    await this.redis.srem(keys.idle, worker);
  }

  async leave(worker: string): Promise<void> {
    await this.scripts.leave(worker);
  }

  /** Finds what lost workers left: see Dispatcher. */
  async sweep(silenceMs: number): Promise<{ ready: number; tickets: number; lost: string[] }> {
    const at = new Date().toISOString();
    const answer = await this.scripts.sweep(silenceMs, MAX_LOSSES, at, SWEEP_PAUSE_MS);
    const [ready, tickets, lost] = answer as [number, number, string[]];
    return { ready, tickets, lost };
  }

  /** Executions that wait and that run. */
  async counts(): Promise<{ waiting: number; running: number }> {
    const [waiting, running] = await Promise.all([this.redis.zcard(keys.waiting), this.redis.scard(keys.running)]);
    return { waiting, running };
  }

  /** What a key used on a day, and what it has in the queue now. */
  async usage(
    keyId: string,
    day: string,
  ): Promise<{ executions: number; cpuMs: number; queued: number; running: number }> {
    const [used, interactive, batch, running] = await Promise.all([
      this.redis.hmget(keys.usage(keyId, day), 'executions', 'cpuMs'),
      this.redis.zcard(keys.lane('interactive', keyId)),
      this.redis.zcard(keys.lane('batch', keyId)),
      this.redis.scard(keys.runningOf(keyId)),
    ]);
    return { executions: Number(used[0] ?? 0), cpuMs: Number(used[1] ?? 0), queued: interactive + batch, running };
  }

  /** Null when there is none, or another tenant's. */
  async get(id: string, tenant: string): Promise<ExecutionDto | null> {
    const record = await this.redis.hgetall(keys.execution(id));
    return record.tenant === tenant ? toDto(id, record) : null;
  }

  /** What a submission was made of, as long as it is kept: while it waits and runs, and after its end. Null for another tenant's. */
  async jobOf(id: string, tenant: string): Promise<ExecutionJob | null> {
    const [owner, job] = await this.redis.hmget(keys.execution(id), 'tenant', 'job');
    if (owner !== tenant) return null;
    const text = job ?? (await this.redis.get(keys.endedJob(id)));
    return text === null ? null : (JSON.parse(text) as ExecutionJob);
  }

  async state(id: string): Promise<ExecutionState | null> {
    return (await this.redis.hget(keys.execution(id), 'state')) as ExecutionState | null;
  }

  /** Newest first; a page may be shorter than `limit` when its output is long. The cursor is "time:id" of the last one of the page before. */
  async list(
    tenant: string,
    limit: number,
    cursor: string | null,
    filter: (execution: ExecutionDto) => boolean,
    place = keys.byTenant(tenant),
  ): Promise<{ items: ExecutionDto[]; nextCursor: string | null }> {
    const items: ExecutionDto[] = [];
    let position = cursor;
    let size = 0;
    for (;;) {
      const max = position === null ? '+inf' : position.split(':')[0];
      const page = await this.redis.zrevrangebyscore(place, max, '-inf', 'WITHSCORES', 'LIMIT', 0, 200);
      let seen = 0;
      for (let index = 0; index < page.length; index += 2) {
        const here = `${page[index + 1]}:${page[index]}`;
        if (position !== null && comparePlaces(here, position) >= 0) continue;
        seen++;
        position = here;
        const execution = await this.get(page[index], tenant);
        if (!execution) await this.redis.zrem(place, page[index]);
        else if (filter(execution)) {
          items.push(execution);
          size += execution.stdout.length + execution.stderr.length;
        }
        if (items.length === limit || size > PAGE_OUTPUT_MOST) return { items, nextCursor: position };
      }
      if (seen === 0) return { items, nextCursor: null };
    }
  }

  /** Events after `after` ("0" for all), at most `count`. */
  async events(id: string, after: string, count: number): Promise<StreamEvent[]> {
    const rows = await this.redis.xrange(keys.events(id), after === '0' ? '-' : `(${after}`, '+', 'COUNT', count);
    return rows.map(([eventId, fields]) => ({ id: eventId, type: fields[1] as EventType, data: fields[3] }));
  }
}

function comparePlaces(one: string, other: string): number {
  const [timeA, idA] = one.split(':');
  const [timeB, idB] = other.split(':');
  return Number(timeA) - Number(timeB) || (idA < idB ? -1 : idA > idB ? 1 : 0);
}

/** An execution as clients see it, from its record in Redis. */
export function toDto(id: string, record: Record<string, string>): ExecutionDto {
  const meta = JSON.parse(record.meta ?? '{"runtime":null,"labels":{},"auditLevel":"off"}') as Meta;
  const { auditRecords, auditTruncated, ...result } = record.result
    ? (JSON.parse(record.result) as ExecutionResult)
    : EMPTY_RESULT;
  const origin = meta.origin ? { origin: meta.origin } : {};
  return {
    id,
    state: record.state as ExecutionState,
    ...result,
    audit: { level: meta.auditLevel, records: auditRecords, truncated: auditTruncated },
    ...origin,
    runtime: meta.runtime,
    labels: meta.labels,
    priority: (record.priority ?? 'interactive') as Priority,
    createdAt: record.createdAt,
    startedAt: record.startedAt ?? null,
    finishedAt: record.finishedAt ?? null,
  };
}

/** An execution that was accepted just now. */
export function newDto(
  job: ExecutionJob,
  labels: Record<string, string>,
  priority: Priority,
  createdAt: Date,
): ExecutionDto {
  return toDto(job.id, {
    state: 'queued',
    meta: JSON.stringify(metaOf(job, labels)),
    priority,
    createdAt: createdAt.toISOString(),
  });
}
