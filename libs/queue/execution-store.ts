import type {
  EventType,
  ExecutionDto,
  ExecutionJob,
  ExecutionResult,
  ExecutionState,
  StreamEvent,
} from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { IDEMPOTENCY_SECONDS, keys, RETENTION_SECONDS } from './names.js';

/** What is known of an execution before it runs. */
export interface NewExecution {
  readonly id: string;
  readonly tenant: string;
  readonly job: ExecutionJob;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  /** `place` in Redis and the request's fingerprint. */
  readonly idempotency?: { readonly place: string; readonly fingerprint: string };
}

/** -> attempt number, 0 when the execution is over (canceled while queued, finished by another worker), -1 when it is to be canceled. */
const BEGIN = `
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
if redis.call('HEXISTS', KEYS[1], 'cancel') == 1 then return -1 end
local attempt = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'startedAt', ARGV[1], 'worker', ARGV[2])
local restarted = ''
if attempt > 1 then restarted = ',"restarted":true' end
redis.call('XADD', KEYS[2], '*', 't', 'status', 'd', '{"state":"running","at":"' .. ARGV[1] .. '","attempt":' .. attempt .. restarted .. '}')
redis.call('PUBLISH', KEYS[3], ARGV[3])
return attempt`;

/** The one write that ends an execution: only from a live state, only by the current attempt (0 = whoever comes first). -> 1 or 0. */
const FINISH = `
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
if ARGV[1] ~= '0' and redis.call('HGET', KEYS[1], 'attempt') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finishedAt', ARGV[3], 'result', ARGV[4])
redis.call('XADD', KEYS[2], '*', 't', 'status', 'd', '{"state":"' .. ARGV[2] .. '","at":"' .. ARGV[3] .. '"}')
redis.call('XADD', KEYS[2], '*', 't', 'result', 'd', ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('PUBLISH', KEYS[3], ARGV[7] .. ' end')
return 1`;

/** Events of a live execution, only by its current attempt. -> 1 or 0. */
const APPEND = `
if redis.call('HGET', KEYS[1], 'attempt') ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do redis.call('XADD', KEYS[2], '*', 't', ARGV[i], 'd', ARGV[i + 1]) end
redis.call('PUBLISH', KEYS[3], ARGV[2])
return 1`;

/** A worker gives a running execution back: it waits again, and this attempt does not count. -> 1 or 0. */
const HAND_BACK = `
if redis.call('HGET', KEYS[1], 'state') ~= 'running' or redis.call('HGET', KEYS[1], 'attempt') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued')
redis.call('XADD', KEYS[2], '*', 't', 'status', 'd', '{"state":"queued","at":"' .. ARGV[2] .. '"}')
redis.call('PUBLISH', KEYS[3], ARGV[3])
return 1`;

/** The idempotency key is claimed in the same step: there is no key without its execution. -> id of the execution. */
const CREATE = `
if KEYS[4] ~= '' then
  local earlier = redis.call('GET', KEYS[4])
  if earlier then return earlier end
  redis.call('SET', KEYS[4], ARGV[5] .. ' ' .. ARGV[6], 'EX', ARGV[7])
end
redis.call('HSET', KEYS[1], 'tenant', ARGV[1], 'state', 'queued', 'attempt', '0', 'createdAt', ARGV[2], 'meta', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
redis.call('XADD', KEYS[3], '*', 't', 'status', 'd', '{"state":"queued","at":"' .. ARGV[2] .. '"}')
return ARGV[5] .. ' ' .. ARGV[6]`;

/** Characters of output after which a page of a list ends. */
const PAGE_OUTPUT_MOST = 8 << 20;

interface Meta {
  readonly runtime: string | null;
  readonly labels: Record<string, string>;
  readonly auditLevel: ExecutionDto['audit']['level'];
}

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

/** Executions in Redis: one hash and one stream each. Every change is one script, so that there is exactly one result. */
export class ExecutionStore {
  constructor(private readonly redis: Redis) {}

  /** The execution that is there now: this one, or an earlier one with the same idempotency key. */
  async create(created: NewExecution): Promise<{ id: string; fingerprint: string }> {
    const { id, tenant, job, labels, createdAt, idempotency } = created;
    const meta: Meta = { runtime: job.runtime, labels: { ...labels }, auditLevel: job.auditLevel };
    const at = createdAt.toISOString();
    const there = await this.redis.eval(
      CREATE,
      4,
      keys.execution(id),
      keys.byTenant(tenant),
      keys.events(id),
      idempotency?.place ?? '',
      tenant,
      at,
      JSON.stringify(meta),
      createdAt.getTime(),
      id,
      idempotency?.fingerprint ?? '',
      IDEMPOTENCY_SECONDS,
    );
    const [thereId, fingerprint] = String(there).split(' ');
    return { id: thereId, fingerprint };
  }

  /** Forgets one that could not be queued. */
  async discard(id: string, tenant: string, idempotencyPlace?: string): Promise<void> {
    const gone = [keys.execution(id), keys.events(id), ...(idempotencyPlace ? [idempotencyPlace] : [])];
    await this.redis
      .multi()
      .del(...gone)
      .zrem(keys.byTenant(tenant), id)
      .exec();
  }

  /** Whoever runs it, or is about to, ends it: the mark is for one that has not begun, the message for one that has. */
  async requestCancel(id: string): Promise<void> {
    await this.redis.multi().hset(keys.execution(id), 'cancel', '1').publish(keys.cancel, id).exec();
  }

  /** False when this attempt is not the current one any more. */
  async handBack(id: string, attempt: number): Promise<boolean> {
    const at = new Date().toISOString();
    const place = [keys.execution(id), keys.events(id), keys.news];
    return (await this.redis.eval(HAND_BACK, 3, ...place, attempt, at, id)) === 1;
  }

  /** Attempt number; 0: it is over; -1: it is to be canceled. */
  async begin(id: string, worker: string): Promise<number> {
    const at = new Date().toISOString();
    return Number(await this.redis.eval(BEGIN, 3, keys.execution(id), keys.events(id), keys.news, at, worker, id));
  }

  /** attempt 0: whatever the attempt. False when the execution already had its end. */
  async finish(id: string, attempt: number, state: ExecutionState, result: Partial<ExecutionResult>): Promise<boolean> {
    const finishedAt = new Date().toISOString();
    const whole = { ...EMPTY_RESULT, ...result };
    const record = await this.redis.hgetall(keys.execution(id));
    const shown = toDto(id, { ...record, state, finishedAt, result: JSON.stringify(whole) });
    const done = await this.redis.eval(
      FINISH,
      3,
      keys.execution(id),
      keys.events(id),
      keys.news,
      attempt,
      state,
      finishedAt,
      JSON.stringify(whole),
      JSON.stringify(shown),
      RETENTION_SECONDS,
      id,
    );
    return done === 1;
  }

  /** False when this attempt is not the current one any more. */
  async append(id: string, attempt: number, events: readonly { type: EventType; data: unknown }[]): Promise<boolean> {
    const flat = events.flatMap(({ type, data }) => [type, JSON.stringify(data)]);
    const done = await this.redis.eval(APPEND, 3, keys.execution(id), keys.events(id), keys.news, attempt, id, ...flat);
    return done === 1;
  }

  /** Null when there is none, or another tenant's. */
  async get(id: string, tenant: string): Promise<ExecutionDto | null> {
    const record = await this.redis.hgetall(keys.execution(id));
    return record.tenant === tenant ? toDto(id, record) : null;
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
  ): Promise<{ items: ExecutionDto[]; nextCursor: string | null }> {
    const items: ExecutionDto[] = [];
    let position = cursor;
    let size = 0;
    for (;;) {
      const max = position === null ? '+inf' : position.split(':')[0];
      const page = await this.redis.zrevrangebyscore(keys.byTenant(tenant), max, '-inf', 'WITHSCORES', 'LIMIT', 0, 200);
      let seen = 0;
      for (let index = 0; index < page.length; index += 2) {
        const place = `${page[index + 1]}:${page[index]}`;
        if (position !== null && comparePlaces(place, position) >= 0) continue;
        seen++;
        position = place;
        const execution = await this.get(page[index], tenant);
        if (!execution) await this.redis.zrem(keys.byTenant(tenant), page[index]);
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

function toDto(id: string, record: Record<string, string>): ExecutionDto {
  const meta = JSON.parse(record.meta ?? '{"runtime":null,"labels":{},"auditLevel":"off"}') as Meta;
  const { auditRecords, auditTruncated, ...result } = record.result
    ? (JSON.parse(record.result) as ExecutionResult)
    : EMPTY_RESULT;
  return {
    id,
    state: record.state as ExecutionState,
    ...result,
    audit: { level: meta.auditLevel, records: auditRecords, truncated: auditTruncated },
    runtime: meta.runtime,
    labels: meta.labels,
    createdAt: record.createdAt,
    startedAt: record.startedAt ?? null,
    finishedAt: record.finishedAt ?? null,
  };
}
