import { createHash, randomBytes } from 'node:crypto';
import {
  type ExecutionDto,
  type ExecutionJob,
  isTerminal,
  type StreamEvent,
  type UsageTodayDto,
} from '@cordon/contracts';
import {
  connect,
  Dispatcher,
  dayOf,
  ExecutionStore,
  type InputMessage,
  keys,
  monotonic,
  News,
  newDeliveryId,
  newDto,
  type Principal,
  type Refused,
  SandboxPlaces,
  WorkerRegistry,
} from '@cordon/queue';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { ProblemException } from '../http/problem.js';
import { ApiSettings } from '../settings.js';
import { WebhooksService } from '../webhooks/webhooks.service.js';
import { noPlatform } from './platform.js';
import { acceptedNow, validateExecution } from './validate.js';

const ID = /^(exe|sub)_[a-z0-9]{24}$/;

/** What a record is: an execution, or a submission to be judged. Its id says so. */
export type RecordKind = 'exe' | 'sub';
const RUNTIMES_TTL_MS = 2_000;
const EVENTS_AT_ONCE = 200;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export function newId(kind: RecordKind): string {
  let id = '';
  while (id.length < 24) id += BigInt(`0x${randomBytes(20).toString('hex')}`).toString(36);
  return `${kind}_${id.slice(0, 24)}`;
}

/** Seconds after which a full queue is worth another try. */
const RETRY_FULL_SECONDS = 2;

function refusal(why: Refused, now: Date): ProblemException {
  if (why === 'full') return new ProblemException('queue-full', undefined, undefined, RETRY_FULL_SECONDS);
  if (why === 'queued') {
    return new ProblemException(
      'quota-exceeded',
      'too many executions of this key wait',
      undefined,
      RETRY_FULL_SECONDS,
    );
  }
  const midnight = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1);
  const seconds = Math.ceil((midnight - now.getTime()) / 1000);
  const what = why === 'cpu' ? 'the processor time' : 'the executions';
  return new ProblemException('quota-exceeded', `${what} of this key for today are used up`, undefined, seconds);
}

/** What the controllers do with executions: create, find, wait, follow, cancel. */
@Injectable()
export class ExecutionsService implements OnModuleInit, OnApplicationShutdown {
  readonly redis: Redis;
  readonly registry: WorkerRegistry;
  /** Sandboxes of a key. */
  readonly places: SandboxPlaces;
  private readonly store: ExecutionStore;
  private readonly dispatcher: Dispatcher;
  private news!: News;
  private runtimesCache: { at: number; list: ReturnType<WorkerRegistry['runtimes']> } | null = null;

  constructor(
    private readonly settings: ApiSettings,
    private readonly webhooks: WebhooksService,
  ) {
    this.redis = connect(settings.redisUrl, { maxRetriesPerRequest: 1 });
    this.redis.on('error', () => undefined);
    this.store = new ExecutionStore(this.redis, settings.store);
    this.dispatcher = new Dispatcher(this.redis, this.store);
    this.registry = new WorkerRegistry(this.redis);
    this.places = new SandboxPlaces(this.redis);
  }

  async onModuleInit(): Promise<void> {
    const subscriber = connect(this.settings.redisUrl);
    subscriber.on('error', () => undefined);
    this.news = await News.subscribe(subscriber);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.news.close();
    await this.dispatcher.close();
    this.redis.disconnect();
  }

  /** 422 unless every worker offers it: any of them may take the execution. */
  private async requirePlatform(platform: string): Promise<void> {
    const workers = await this.registry.workers();
    if (workers.length === 0 || workers.some(({ platforms }) => !platforms.includes(platform)))
      throw noPlatform(platform, workers);
  }

  runtimes(): ReturnType<WorkerRegistry['runtimes']> {
    const now = Date.now();
    if (!this.runtimesCache || now - this.runtimesCache.at > RUNTIMES_TTL_MS) {
      this.runtimesCache = { at: now, list: this.registry.runtimes() };
      this.runtimesCache.list.catch(() => {
        this.runtimesCache = null;
      });
    }
    return this.runtimesCache.list;
  }

  counts(): ReturnType<ExecutionStore['counts']> {
    return this.store.counts();
  }

  async usage({ keyId, scopes, limits }: Principal): Promise<UsageTodayDto> {
    const day = dayOf(new Date());
    const [{ cpuMs, ...rest }, sandboxes] = await Promise.all([this.store.usage(keyId, day), this.places.count(keyId)]);
    return { keyId, scopes: [...scopes], day, ...rest, cpuSeconds: cpuMs / 1000, sandboxes, limits };
  }

  /** Validates and queues; an idempotency key that was used gives what it made. */
  async create(
    principal: Principal,
    body: unknown,
    idempotencyKey: string | undefined,
    id = newId('exe'),
    validate = validateExecution,
  ): Promise<ExecutionDto> {
    const accepted = acceptedNow();
    const { tenant } = principal;
    const { destinations } = this.webhooks;
    const { job, labels, priority, webhook: url } = validate(body, id, await this.runtimes(), destinations, accepted);
    if (job.platform) await this.requirePlatform(job.platform);
    const webhook = url === null ? undefined : { id: newDeliveryId(), url };
    const idempotency =
      idempotencyKey === undefined
        ? undefined
        : { place: keys.idempotency(tenant, sha256(idempotencyKey)), fingerprint: sha256(JSON.stringify(body)) };
    const createdAt = new Date();
    const creation = await this.store.create({
      id,
      principal,
      priority,
      job,
      labels,
      createdAt,
      idempotency,
      webhook,
    });
    if (creation.what === 'there') {
      const kind = id.slice(0, 3) as RecordKind;
      if (creation.fingerprint === idempotency?.fingerprint) return this.get(tenant, creation.id, kind);
      throw new ProblemException('conflict', 'this Idempotency-Key was used for another request');
    }
    if (creation.what !== 'created') throw refusal(creation.what, createdAt);
    // No worker was idle, or none heard of it. Should the ticket be lost, the sweep makes up for it.
    if (!creation.woken && creation.tickets < creation.waiting) this.wake();
    return newDto(job, labels, priority, createdAt);
  }

  /** As `create` and `wait`, without asking for what the news of its end brings. */
  async createAndWait(
    principal: Principal,
    body: unknown,
    idempotencyKey: string | undefined,
    seconds: number,
    gone: AbortSignal,
  ): Promise<ExecutionDto> {
    const id = newId('exe');
    const { tenant } = principal;
    const accepted = monotonic();
    let told: string | null = null;
    let wake = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      wake = resolve;
    });
    // Followed before it is there: no end can come in between.
    const unfollow = this.news.follow(id, (last, result) => {
      told = result;
      if (last) wake();
    });
    const timer = setTimeout(wake, seconds * 1000);
    gone.addEventListener('abort', wake, { once: true });
    if (gone.aborted) wake();
    try {
      const execution = await this.create(principal, body, idempotencyKey, id);
      if (execution.id !== id) return await this.wait(tenant, execution.id, seconds, gone);
      await ended;
      const result = told === null ? await this.get(tenant, id) : (JSON.parse(told) as ExecutionDto);
      if (result.timeline) result.timeline.answered = Math.round((monotonic() - accepted) / 1000);
      return result;
    } finally {
      clearTimeout(timer);
      gone.removeEventListener('abort', wake);
      unfollow();
    }
  }

  private wake(): void {
    this.dispatcher.ticket().catch(() => undefined);
  }

  /** 404 for what is not there and for what is another key's. */
  async get(tenant: string, id: string, kind: RecordKind = 'exe'): Promise<ExecutionDto> {
    const execution = ID.exec(id)?.[1] === kind ? await this.store.get(id, tenant) : null;
    if (!execution)
      throw new ProblemException('not-found', kind === 'exe' ? 'no such execution' : 'no such submission');
    return execution;
  }

  list(
    tenant: string,
    limit: number,
    cursor: string | null,
    filter: (execution: ExecutionDto) => boolean,
    place?: string,
  ): ReturnType<ExecutionStore['list']> {
    return this.store.list(tenant, limit, cursor, filter, place);
  }

  /** What a submission was made of; null when that is not kept any more. */
  jobOf(tenant: string, id: string): Promise<ExecutionJob | null> {
    return this.store.jobOf(id, tenant);
  }

  /** The execution once it is over, or as it is after `seconds` or when the client has gone. */
  async wait(
    tenant: string,
    id: string,
    seconds: number,
    gone: AbortSignal,
    kind: RecordKind = 'exe',
  ): Promise<ExecutionDto> {
    let wake = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const unfollow = this.news.follow(id, (last) => last && wake());
    const timer = setTimeout(wake, seconds * 1000);
    gone.addEventListener('abort', wake, { once: true });
    try {
      // Asked after following began: an end in between is seen by one or the other.
      const execution = await this.get(tenant, id, kind);
      if (isTerminal(execution.state) || gone.aborted) return execution;
      await ended;
      return await this.get(tenant, id, kind);
    } finally {
      clearTimeout(timer);
      gone.removeEventListener('abort', wake);
      unfollow();
    }
  }

  /** Events after `after`, as they come, until the last one. Heartbeats are null. */
  async *events(id: string, after: string, heartbeatMs: number, gone: AbortSignal): AsyncGenerator<StreamEvent | null> {
    let wake: (() => void) | null = null;
    let fresh = true;
    const unfollow = this.news.follow(id, () => {
      fresh = true;
      wake?.();
    });
    const stop = (): void => wake?.();
    gone.addEventListener('abort', stop);
    try {
      let position = after;
      let over = false;
      while (!gone.aborted) {
        fresh = false;
        const batch = await this.store.events(id, position, EVENTS_AT_ONCE);
        for (const event of batch) {
          position = event.id;
          yield event;
          if (event.type === 'result') return;
        }
        if (batch.length > 0) continue;
        // Read once more after it was seen to be over: the end may have come between the two.
        if (over) return;
        over = await this.over(id);
        if (over) continue;
        if (fresh || gone.aborted) continue;
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
          timer = setTimeout(resolve, heartbeatMs);
        });
        wake = null;
        clearTimeout(timer);
        if (!fresh) yield null;
      }
    } finally {
      unfollow();
      gone.removeEventListener('abort', stop);
    }
  }

  /** Calls `wake` at each news of an execution or sandbox, until the returned function is called. */
  follow(id: string, wake: () => void): () => void {
    return this.news.follow(id, wake);
  }

  /** Nothing more will come: it ended and its events were all read (or are gone). */
  private async over(id: string): Promise<boolean> {
    const state = await this.store.state(id);
    if (state !== null && !isTerminal(state)) return false;
    const last = await this.redis.xrevrange(keys.events(id), '+', '-', 'COUNT', 1);
    return last.length === 0 || last[0][1][1] === 'result';
  }

  /** Who runs it; null before it begins. */
  workerOf(id: string): Promise<string | null> {
    return this.redis.hget(keys.execution(id), 'worker');
  }

  /** To the worker that runs it; lost when it has just ended. */
  input(worker: string, message: InputMessage): void {
    this.redis.publish(keys.input(worker), JSON.stringify(message)).catch(() => undefined);
  }

  /** Queued ones end here; running ones are told to, and end a moment later. */
  async cancel(tenant: string, id: string, kind: RecordKind = 'exe'): Promise<ExecutionDto> {
    const execution = await this.get(tenant, id, kind);
    if (isTerminal(execution.state)) return execution;
    if (await this.store.finish(id, 0, 'canceled', {}, { only: 'queued' })) return this.get(tenant, id, kind);
    await this.store.requestCancel(id);
    const current = await this.wait(tenant, id, 3, new AbortController().signal, kind);
    if (isTerminal(current.state)) return current;
    // The worker did not answer: the execution ends for its owner all the same.
    await this.store.finish(id, 0, 'canceled', {});
    return this.get(tenant, id, kind);
  }
}
