import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApp } from '@cordon/app-api/app';
import { ApiSettings, type WebhookSettings } from '@cordon/app-api/settings';
import type { ExecutionDto } from '@cordon/contracts';
import { type EmbeddedRedis, type StoreSettings, startRedis } from '@cordon/queue';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import request from 'supertest';
import { afterAll, beforeAll } from 'vitest';

export const KEY = 'key-of-the-first-tenant';
export const OTHER_KEY = 'key-of-the-second-tenant';
const WORKER = fileURLToPath(new URL('../../apps/worker/dist/main.js', import.meta.url));

export interface SseEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
  /** When it arrived, ms. */
  readonly at: number;
}

interface DeploymentOptions {
  readonly store?: StoreSettings;
  readonly webhooks?: WebhookSettings;
  readonly problemBytes?: number;
  readonly keySandboxes?: number;
  /** Of each worker; null: as it comes. */
  readonly concurrency?: number | null;
  /** Of each worker, beside ours. */
  readonly workerEnv?: Readonly<Record<string, string>>;
}

/** A Redis of its own, the real API in this process, and workers as real processes. One per test file. */
export class Deployment {
  redis!: EmbeddedRedis;
  app!: NestFastifyApplication;
  readonly workers = new Set<ChildProcess>();

  constructor(private readonly options: DeploymentOptions = {}) {}

  readonly directory = mkdtempSync(join(tmpdir(), 'cordon-e2e-'));

  async start(workers: number): Promise<void> {
    this.redis = await startRedis(this.directory);
    this.app = await this.startApi();
    for (let index = 0; index < workers; index++) await this.startWorker();
  }

  /** Another one beside the first is for the caller to close. */
  async startApi(): Promise<NestFastifyApplication> {
    const { store, webhooks, problemBytes, keySandboxes } = this.options;
    const app = await createApp(
      new ApiSettings(this.redis.url, '127.0.0.1', 0, [KEY, OTHER_KEY], store, webhooks, problemBytes, keySandboxes),
    );
    await app.listen(0, '127.0.0.1');
    return app;
  }

  async startWorker(): Promise<ChildProcess> {
    const { concurrency = 2, workerEnv } = this.options;
    const env = {
      ...process.env,
      REDIS_URL: this.redis.url,
      ...(concurrency === null ? {} : { CORDON_CONCURRENCY: String(concurrency), CORDON_SPARES: '1' }),
      CORDON_CACHE_DIR: join(this.directory, 'cache'),
      ...workerEnv,
    };
    const child = fork(WORKER, { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
    this.workers.add(child);
    child.once('exit', () => this.workers.delete(child));
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`the worker ended (${code})`)));
    });
    return child;
  }

  async stopWorker(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.workers].map((worker) => this.stopWorker(worker, 'SIGTERM')));
    await this.app?.close();
    await this.redis?.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  get port(): number {
    return (this.app.getHttpServer().address() as AddressInfo).port;
  }

  post(body: unknown, query = '', key = KEY): request.Test {
    return this.postTo(`/v1/executions${query}`, body, key);
  }

  postTo(path: string, body: unknown, key = KEY): request.Test {
    return request(this.app.getHttpServer())
      .post(path)
      .set('authorization', `Bearer ${key}`)
      .set('content-type', 'application/json')
      .send(typeof body === 'string' ? body : JSON.stringify(body));
  }

  get(path: string, key = KEY): request.Test {
    return request(this.app.getHttpServer()).get(path).set('authorization', `Bearer ${key}`);
  }

  delete(path: string, key = KEY): request.Test {
    return request(this.app.getHttpServer()).delete(path).set('authorization', `Bearer ${key}`);
  }

  async run(body: unknown): Promise<ExecutionDto> {
    const response = await this.post(body, '?wait=60');
    if (response.status !== 200) throw new Error(`${response.status}: ${response.text}`);
    return response.body as ExecutionDto;
  }

  /** The events of an execution as they arrive, until the stream ends or `enough` says so. */
  events(
    id: string,
    lastId?: string,
    enough: (event: SseEvent) => boolean = () => false,
    kind = 'executions',
  ): Promise<SseEvent[]> {
    const headers = { authorization: `Bearer ${KEY}`, ...(lastId ? { 'last-event-id': lastId } : {}) };
    return new Promise((resolve, reject) => {
      const seen: SseEvent[] = [];
      let text = '';
      const options = { host: '127.0.0.1', port: this.port, path: `/v1/${kind}/${id}/events`, headers };
      const client = httpGet(options, (response) => {
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
            const event = parseEvent(text.slice(0, end));
            text = text.slice(end + 2);
            if (!event) continue;
            seen.push(event);
            if (enough(event)) {
              resolve(seen);
              client.destroy();
            }
          }
        });
        response.on('end', () => resolve(seen));
        response.on('error', () => resolve(seen));
      });
      client.on('error', reject);
    });
  }
}

function parseEvent(block: string): SseEvent | null {
  const fields = new Map(block.split('\n').map((line) => [line.split(': ')[0], line.slice(line.indexOf(': ') + 2)]));
  const data = fields.get('data');
  if (data === undefined) return null;
  return { id: fields.get('id') ?? '', type: fields.get('event') ?? '', data: JSON.parse(data), at: Date.now() };
}

/** Gives the test file a deployment (call once, at top level). */
export function useDeployment({ workers, ...options }: { workers: number } & DeploymentOptions): Deployment {
  const deployment = new Deployment(options);
  beforeAll(() => deployment.start(workers), 120_000);
  afterAll(() => deployment.stop(), 60_000);
  return deployment;
}
