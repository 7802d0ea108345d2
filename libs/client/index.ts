import { Executions } from './executions.js';
import { Keys } from './keys.js';
import type { components } from './schema.js';
import { type CallOptions, type ClientOptions, Transport } from './transport.js';

export * from './errors.js';
export * from './executions.js';
export * from './keys.js';
export type { components, operations, paths } from './schema.js';
export type { CallOptions, ClientOptions } from './transport.js';

export type Runtime = components['schemas']['RuntimeDto'];
export type UsageToday = components['schemas']['UsageTodayDto'];

/** A Cordon server. Works where `fetch` is: Node 20 and later, browsers. */
export class Cordon {
  readonly executions: Executions;
  readonly keys: Keys;
  private readonly transport: Transport;

  constructor(options: ClientOptions) {
    this.transport = new Transport(options);
    this.executions = new Executions(this.transport);
    this.keys = new Keys(this.transport);
  }

  /** Languages that the workers have. */
  runtimes({ signal }: CallOptions = {}): Promise<Runtime[]> {
    return this.transport.json({ method: 'GET', path: '/v1/runtimes', signal });
  }

  /** What this key used today, and what it may. */
  usage({ signal }: CallOptions = {}): Promise<UsageToday> {
    return this.transport.json({ method: 'GET', path: '/v1/usage', signal });
  }
}
