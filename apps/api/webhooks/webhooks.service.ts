import { createHmac } from 'node:crypto';
import type { DeliveryDto } from '@cordon/contracts';
import { connect, type DueDelivery, ExecutionStore, WebhookStore } from '@cordon/queue';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { ProblemException } from '../http/problem.js';
import { ApiSettings } from '../settings.js';
import { Destinations } from './destination.js';
import { post } from './post.js';

const ID = /^whk_[0-9a-f]{24}$/;
/** How long a message may lie until it is looked for; also what a quiet deployment costs. */
const LOOK_MS = 500;
/** Pauses after failed attempts, in units of the first one: with 5 s, the eighth and last attempt is some 10 hours after the first. */
const PAUSES = [1, 6, 24, 120, 720, 2160, 4320];

/** How other services' callbacks differ from our webhooks. Their URLs are kept as `<name>+<url>`. */
export interface CallbackShape {
  readonly method: 'PUT';
  readonly timeoutMs: number;
  /** In all. */
  readonly attempts: number;
  readonly body: (tenant: string, id: string) => Promise<object | null>;
}

/** Delivers messages to webhooks, and knows what became of them. */
@Injectable()
export class WebhooksService implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly destinations: Destinations;
  private readonly shapes = new Map<string, CallbackShape>();
  private readonly redis: Redis;
  private readonly store: WebhookStore;
  private readonly executions: ExecutionStore;
  private timer?: NodeJS.Timeout;
  private delivering: Promise<unknown> | null = null;

  constructor(private readonly settings: ApiSettings) {
    this.destinations = new Destinations(settings.webhooks.allow);
    this.redis = connect(settings.redisUrl, { enableAutoPipelining: true, maxRetriesPerRequest: 1 });
    this.redis.on('error', () => undefined);
    this.store = new WebhookStore(this.redis, settings.webhooks.retentionSeconds);
    this.executions = new ExecutionStore(this.redis, settings.store);
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => {
      this.delivering ??= this.deliverDue()
        .catch(() => undefined)
        .finally(() => {
          this.delivering = null;
        });
    }, LOOK_MS);
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.delivering;
    this.redis.disconnect();
  }

  /** Callbacks to `<name>+<url>` look like this from now on. */
  addShape(name: string, shape: CallbackShape): void {
    this.shapes.set(name, shape);
  }

  secret(tenant: string): Promise<string> {
    return this.store.secret(tenant);
  }

  rotateSecret(tenant: string): Promise<string> {
    return this.store.rotateSecret(tenant);
  }

  list(tenant: string, offset: number, limit: number): ReturnType<WebhookStore['list']> {
    return this.store.list(tenant, offset, limit);
  }

  async get(tenant: string, id: string): Promise<DeliveryDto> {
    const delivery = ID.test(id) ? await this.store.get(id, tenant) : null;
    if (!delivery) throw new ProblemException('not-found', 'no such delivery');
    return delivery;
  }

  async again(tenant: string, id: string): Promise<DeliveryDto> {
    if (ID.test(id)) await this.store.again(id, tenant);
    return this.get(tenant, id);
  }

  private async deliverDue(): Promise<void> {
    const due = await this.store.claim();
    await Promise.all(due.map((delivery) => this.deliver(delivery)));
  }

  private async deliver({ id, executionId, tenant, url, attempt }: DueDelivery): Promise<void> {
    const start = Date.now();
    const at = new Date(start).toISOString();
    let status: number | null = null;
    let error: string | null = null;
    const [name, bare] = /^([a-z0-9]+)\+(.*)$/.exec(url)?.slice(1) ?? [];
    const shape = this.shapes.get(name);
    try {
      if (name !== undefined && !shape) throw new Error(`nobody here speaks ${name}`);
      if (shape) {
        const body = JSON.stringify(await shape.body(tenant, executionId));
        const { method, timeoutMs } = shape;
        const headers = { 'content-type': 'application/json', 'user-agent': 'Cordon' };
        status = await post(new URL(bare), headers, body, this.destinations, { method, timeoutMs });
      } else {
        const execution = await this.executions.get(executionId, tenant);
        const body = JSON.stringify({ id, type: 'execution.finished', at, data: execution });
        const headers = { ...signed(await this.store.secret(tenant), start, body), 'cordon-delivery': id };
        status = await post(new URL(url), headers, body, this.destinations);
      }
      if (status < 200 || status > 299) error = 'not a 2xx answer';
    } catch (reason) {
      error = (reason as Error).message;
    }
    const pause = attempt >= (shape?.attempts ?? Number.POSITIVE_INFINITY) ? undefined : PAUSES[attempt - 1];
    const jitter = 0.9 + Math.random() / 5;
    const retryAt = pause === undefined ? null : Date.now() + pause * jitter * this.settings.webhooks.retryMs;
    await this.store.record(id, { at, status, error, durationMs: Date.now() - start }, error === null, retryAt);
  }
}

/** `Cordon-Signature: t=<seconds>,v1=<hex>`: HMAC-SHA256 over "<seconds>.<body>". The time lets a receiver refuse replays. */
function signed(secret: string, now: number, body: string): Record<string, string> {
  const seconds = Math.floor(now / 1000);
  const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return { 'content-type': 'application/json', 'user-agent': 'Cordon', 'cordon-signature': `t=${seconds},v1=${mac}` };
}
