import type { RuntimeDto } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** A worker that has not said so for this long is gone. */
export const WORKER_TTL_SECONDS = 15;
export const WORKER_HEARTBEAT_MS = 5_000;

export interface WorkerInfo {
  readonly id: string;
  readonly host: string;
  readonly concurrency: number;
  readonly platform: string;
  /** Those that a request may name. */
  readonly platforms: readonly string[];
  readonly runtimes: readonly RuntimeDto[];
  readonly startedAt: string;
  /** Where its sandboxes are asked, and the bearer token for it. */
  readonly link: { readonly url: string; readonly token: string };
}

/** What a worker said of itself; an older one names its platform alone. */
function infoOf(text: string): WorkerInfo {
  const info = JSON.parse(text) as WorkerInfo & { readonly platforms?: readonly string[] };
  return { ...info, platforms: info.platforms ?? [info.platform] };
}

/** Live workers and what they offer. */
export class WorkerRegistry {
  constructor(private readonly redis: Redis) {}

  async announce(info: WorkerInfo): Promise<void> {
    await this.redis
      .multi()
      .set(keys.worker(info.id), JSON.stringify(info), 'EX', WORKER_TTL_SECONDS)
      .sadd(keys.workers, info.id)
      .exec();
  }

  /** What a worker measured, for whoever is asked for metrics. */
  async publishMetrics(id: string, text: string): Promise<void> {
    await this.redis.set(keys.workerMetrics(id), text, 'EX', WORKER_TTL_SECONDS);
  }

  /** What live workers measured. */
  async metrics(): Promise<string[]> {
    const ids = await this.redis.smembers(keys.workers);
    if (ids.length === 0) return [];
    return (await this.redis.mget(ids.map((id) => keys.workerMetrics(id)))).filter((text) => text !== null);
  }

  async workers(): Promise<WorkerInfo[]> {
    const ids = await this.redis.smembers(keys.workers);
    if (ids.length === 0) return [];
    const texts = await this.redis.mget(ids.map((id) => keys.worker(id)));
    const live: WorkerInfo[] = [];
    for (const [index, text] of texts.entries()) {
      if (text) live.push(infoOf(text));
      else await this.redis.srem(keys.workers, ids[index]);
    }
    return live;
  }

  /** Whether one that is not here is gone: a Redis that was away itself has forgotten all, and they will say again that they are there. */
  async settled(): Promise<boolean> {
    const [, seconds] = /^uptime_in_seconds:(\d+)/m.exec(await this.redis.info('server')) ?? [];
    return seconds === undefined || Number(seconds) > WORKER_TTL_SECONDS;
  }

  /** One worker; null when it is gone. */
  async worker(id: string): Promise<WorkerInfo | null> {
    const text = await this.redis.get(keys.worker(id));
    return text === null ? null : infoOf(text);
  }

  /** Runtimes that any live worker has, by id. */
  async runtimes(): Promise<RuntimeDto[]> {
    const byId = new Map<string, RuntimeDto>();
    for (const { runtimes } of await this.workers()) for (const runtime of runtimes) byId.set(runtime.id, runtime);
    return [...byId.values()];
  }
}
