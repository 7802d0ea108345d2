import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { AuditEntry, ExecutionJob, RuntimeDto } from '@cordon/contracts';
import { type DiscoveredRuntime, discoverRuntimes, hostImage } from '@cordon/images';
import { createPool, type SandboxPool } from '@cordon/pool';
import { connect, consume, ExecutionStore, keys, WORKER_HEARTBEAT_MS, WorkerRegistry } from '@cordon/queue';
import { renderStrace } from '@cordon/sentry/audit/strace';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { Executor } from './executor.js';
import { WorkerSettings } from './worker.settings.js';

/** How long a stopping worker waits for what it runs before it ends it. */
const DRAIN_MS = 10_000;

/** Takes jobs from the queue and runs them, until it is told to stop. */
@Injectable()
export class WorkerService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly log = pino({ name: 'worker', level: process.env.LOG_LEVEL ?? 'info' });
  private readonly id = randomUUID();
  private readonly redis: Redis;
  private readonly subscriber: Redis;
  private readonly registry: WorkerRegistry;
  private pool!: SandboxPool;
  private worker!: Worker<ExecutionJob>;
  private executor!: Executor;
  private heartbeat?: NodeJS.Timeout;

  constructor(private readonly settings: WorkerSettings) {
    this.redis = connect(settings.redisUrl, { enableAutoPipelining: true });
    this.subscriber = connect(settings.redisUrl);
    this.registry = new WorkerRegistry(this.redis);
    for (const redis of [this.redis, this.subscriber]) redis.on('error', (error) => this.log.warn(error.message));
  }

  async onApplicationBootstrap(): Promise<void> {
    const image = hostImage();
    const runtimes = await discoverRuntimes(image);
    this.pool = await createPool({
      image,
      platform: this.settings.platform,
      spares: this.settings.spares,
      renewAfter: 1000,
      log: (line) => this.log.info(line),
    });
    const store = new ExecutionStore(this.redis);
    this.executor = new Executor({
      pool: this.pool,
      store,
      image,
      runtimes: new Map(runtimes.map((runtime) => [runtime.id, runtime])),
      workerId: this.id,
      log: this.log,
      renderAudit: (entry: AuditEntry) => renderStrace(entry),
    });
    this.subscriber.on('message', (_channel, id: string) => this.executor.cancel(id));
    await this.subscriber.subscribe(keys.cancel);
    await this.announce(runtimes);
    this.worker = consume(
      this.settings.redisUrl,
      this.settings.concurrency,
      (job) => this.executor.execute(job),
      async (id, detail) => {
        this.log.error({ execution: id, detail }, 'job failed');
        await store.finish(id, 0, 'error', { detail });
      },
    );
    await this.worker.waitUntilReady();
    this.log.info({ runtimes: runtimes.map(({ id }) => id), concurrency: this.settings.concurrency }, 'ready');
  }

  private async announce(runtimes: readonly DiscoveredRuntime[]): Promise<void> {
    const info = {
      id: this.id,
      host: hostname(),
      concurrency: this.settings.concurrency,
      platform: this.pool.stats().platform,
      runtimes: runtimes.map(toDto),
      startedAt: new Date().toISOString(),
    };
    await this.registry.announce(info);
    this.heartbeat = setInterval(() => {
      this.registry.announce(info).catch((error: Error) => this.log.warn(error.message));
    }, WORKER_HEARTBEAT_MS);
  }

  /** Takes no more jobs, lets what runs end (or ends it after a while), leaves no process. */
  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.heartbeat);
    const timer = setTimeout(() => this.executor?.handBackAll(), DRAIN_MS);
    await this.worker?.close();
    clearTimeout(timer);
    await this.pool?.close();
    await this.registry.leave(this.id).catch(() => undefined);
    this.redis.disconnect();
    this.subscriber.disconnect();
  }
}

function toDto({ id, name, version, aliases, fileName, compile }: DiscoveredRuntime): RuntimeDto {
  return { id, name, version, aliases: [...aliases], fileName, compiled: compile !== undefined };
}
