import { Executions } from './executions.js';
import { Keys } from './keys.js';
import { Sandboxes } from './sandboxes.js';
import type { components } from './schema.js';
import { Submissions } from './submissions.js';
import { type CallOptions, type ClientOptions, Transport } from './transport.js';

export * from './contexts.js';
export * from './errors.js';
export {
  type AuditRecord,
  type CreateExecution,
  type Execution,
  type ExecutionEvent,
  type ExecutionList,
  type ExecutionState,
  Executions,
  type ListOptions,
  outputBytes,
} from './executions.js';
export * from './keys.js';
export type { CreateOptions } from './records.js';
export * from './sandbox-files.js';
export * from './sandboxes.js';
export type { components, operations, paths } from './schema.js';
export * from './submissions.js';
export type { CallOptions, ClientOptions } from './transport.js';

export type Runtime = components['schemas']['RuntimeDto'];
export type UsageToday = components['schemas']['UsageTodayDto'];

/** A Cordon server. Works where `fetch` is: Node 20 and later, browsers. */
export class Cordon {
  readonly executions: Executions;
  readonly keys: Keys;
  readonly sandboxes: Sandboxes;
  readonly submissions: Submissions;
  private readonly transport: Transport;

  constructor(options: ClientOptions) {
    this.transport = new Transport(options);
    this.executions = new Executions(this.transport);
    this.keys = new Keys(this.transport);
    this.sandboxes = new Sandboxes(this.transport);
    this.submissions = new Submissions(this.transport);
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
