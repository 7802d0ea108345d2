import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { AuditEntry, RuntimeDto } from '@cordon/contracts';
import { type DiscoveredRuntime, discoverRuntimes, hostImage } from '@cordon/images';
import { createPool, PlatformPools, type SandboxPool } from '@cordon/pool';
import {
  BEAT_MS,
  type Consumer,
  connect,
  consume,
  Dispatcher,
  ExecutionStore,
  type InputMessage,
  keys,
  SandboxAuditStore,
  SandboxPlaces,
  SandboxStore,
  TestReader,
  WORKER_HEARTBEAT_MS,
  WorkerRegistry,
} from '@cordon/queue';
import { renderStrace } from '@cordon/sentry/audit/strace';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { Cores } from './cores.js';
import { Executor } from './executor.js';
import { CompileCache } from './judge/compile-cache.js';
import { Compiler } from './judge/compiler.js';
import { WorkerMetrics } from './metrics.js';
import { SandboxHost } from './sandboxes/sandbox-host.js';
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
  private pools!: PlatformPools;
  private readonly store: ExecutionStore;
  private readonly metrics = new WorkerMetrics();
  private consumer?: Consumer;
  private dispatcher?: Dispatcher;
  private beats?: NodeJS.Timeout;
  private strays: readonly string[] = [];
  private executor!: Executor;
  private heartbeat?: NodeJS.Timeout;
  private sandboxes?: SandboxHost;
  private linkPort = 0;

  constructor(private readonly settings: WorkerSettings) {
    this.redis = connect(settings.redisUrl);
    this.subscriber = connect(settings.redisUrl);
    this.registry = new WorkerRegistry(this.redis);
    this.store = new ExecutionStore(this.redis);
    for (const redis of [this.redis, this.subscriber]) redis.on('error', (error) => this.log.warn(error.message));
  }

  async onApplicationBootstrap(): Promise<void> {
    const image = hostImage();
    const { platform, spares, platformsAllowed, kvmExitless } = this.settings;
    const poolOptions = { image, spares, renewAfter: 1000, kvmExitless, log: (line: string) => this.log.info(line) };
    // Some compilers take a second to say their version.
    const [pool, runtimes] = await Promise.all([createPool({ ...poolOptions, platform }), discoverRuntimes(image)]);
    this.pool = pool;
    const pools = new PlatformPools(pool, { ...poolOptions, allowed: platformsAllowed });
    this.pools = pools;
    await pools.probe();
    const { store } = this;
    this.executor = new Executor({
      pool,
      pools,
      store,
      image,
      runtimes: new Map(runtimes.map((runtime) => [runtime.id, runtime])),
      workerId: this.id,
      compiler: new Compiler(this.pool, image, new CompileCache(this.settings.cacheDirectory)),
      reader: new TestReader(this.redis),
      cores: new Cores(this.settings.concurrency),
      metrics: this.metrics,
      log: this.log,
      renderAudit: (entry: AuditEntry) => renderStrace(entry),
    });
    this.subscriber.on('message', (channel: string, message: string) => {
      if (channel === keys.wake(this.id)) this.consumer?.wake();
      else if (channel === keys.cancel) this.executor.cancel(message);
      else this.executor.input(JSON.parse(message) as InputMessage);
    });
    await this.subscriber.subscribe(keys.wake(this.id), keys.cancel, keys.input(this.id));
    this.sandboxes = new SandboxHost({
      pools,
      image,
      store: new SandboxStore(this.redis),
      places: new SandboxPlaces(this.redis),
      audit: new SandboxAuditStore(this.redis),
      renderAudit: (entry: AuditEntry) => renderStrace(entry),
      workerId: this.id,
      log: this.log,
      capacity: this.settings.sandboxes,
    });
    const { link } = this.settings;
    this.linkPort = await this.sandboxes.listen(link.host, link.port);
    await this.announce(runtimes);
    await this.beat();
    this.beats = setInterval(() => void this.beat().catch((error: Error) => this.log.warn(error.message)), BEAT_MS);
    this.dispatcher = new Dispatcher(this.redis, store, async (execution) =>
      this.log.error({ execution }, 'its workers were lost'),
    );
    const { executor } = this;
    const { ready, ...consumer } = consume(
      this.settings.redisUrl,
      this.settings.concurrency,
      () => executor.take(),
      (taken) => executor.execute(taken),
    );
    this.consumer = consumer;
    await ready;
    // What waits already; and from now on new ones wake us.
    consumer.wake();
    this.log.info({ runtimes: runtimes.map(({ id }) => id), concurrency: this.settings.concurrency }, 'ready');
  }

  /** Others take a worker that does not beat for lost. A stray is one whose start was told to nobody: a connection broke just then. */
  private async beat(): Promise<void> {
    const strays = await this.store.beat(this.id, this.executor.ids);
    const unknown = new Set(strays);
    for (const id of this.executor.ids) unknown.delete(id);
    for (const id of this.strays) {
      if (!unknown.delete(id)) continue;
      const attempt = Number(await this.redis.hget(keys.execution(id), 'attempt'));
      this.log.warn({ execution: id }, 'begun here, but its start was never heard of: back to the queue');
      await this.store.handBack(id, attempt);
    }
    this.strays = [...unknown];
  }

  private async announce(runtimes: readonly DiscoveredRuntime[]): Promise<void> {
    const info = {
      id: this.id,
      host: hostname(),
      concurrency: this.settings.concurrency,
      platform: this.pool.stats().platform,
      platforms: this.pools.offered(),
      runtimes: runtimes.map(toDto),
      startedAt: new Date().toISOString(),
      link: {
        url: `http://${hostInUrl(this.settings.link.name)}:${this.linkPort}`,
        token: this.sandboxes?.token ?? '',
      },
    };
    const tell = async (): Promise<void> => {
      await this.registry.announce(info);
      await this.sandboxes?.holdPlaces();
      await this.registry.publishMetrics(this.id, await this.metrics.snapshot(this.pool.stats()));
    };
    await tell();
    this.heartbeat = setInterval(() => {
      tell().catch((error: Error) => this.log.warn(error.message));
    }, WORKER_HEARTBEAT_MS);
  }

  /** Takes no more jobs, lets what runs end (or ends it after a while), leaves no process. */
  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.heartbeat);
    this.executor?.stop();
    await this.store.rest(this.id).catch(() => undefined);
    const timer = setTimeout(() => this.executor?.handBackAll(), DRAIN_MS);
    await this.consumer?.close();
    clearTimeout(timer);
    clearInterval(this.beats);
    // What was handed back, or what came meanwhile, is another worker's: now, not at its next sweep.
    await this.dispatcher?.sweep().catch(() => undefined);
    await this.dispatcher?.close();
    await this.sandboxes?.close();
    await this.pools?.close();
    await this.pool?.close();
    await this.store.leave(this.id).catch(() => undefined);
    this.redis.disconnect();
    this.subscriber.disconnect();
  }
}

function toDto({ id, name, version, aliases, fileName, compile }: DiscoveredRuntime): RuntimeDto {
  return { id, name, version, aliases: [...aliases], fileName, compiled: compile !== undefined };
}

const hostInUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host);
