import { followRecord } from './follow-record.js';
import type { components } from './schema.js';
import { parseLines } from './sse.js';
import type { CallOptions, Transport } from './transport.js';

type Schemas = components['schemas'];
export type CreateExecution = Schemas['CreateExecutionDto'];
export type Execution = Schemas['ExecutionDto'];
export type ExecutionState = Execution['state'];
export type ExecutionList = Schemas['ExecutionListDto'];

/** One system call of a guest. */
export interface AuditRecord {
  readonly sequence: number;
  readonly start: number;
  readonly duration: number;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly number: number;
  readonly name: string;
  readonly arguments: readonly { readonly name: string; readonly kind: string; readonly text: string }[];
  readonly result: number | null;
  readonly error: string | null;
  readonly decision: 'allow' | 'deny' | 'kill' | 'log';
}

/** An event of an execution; `id` resumes the stream behind it. */
export type ExecutionEvent = { readonly id: string } & (
  | {
      readonly type: 'status';
      readonly data: {
        readonly state: ExecutionState;
        readonly at: string;
        readonly attempt?: number;
        /** Its worker was lost and it begins anew: output so far is void. */
        readonly restarted?: boolean;
      };
    }
  | {
      readonly type: 'stdout' | 'stderr';
      readonly data: { readonly data: string; readonly encoding: 'utf8' | 'base64' };
    }
  | {
      readonly type: 'audit';
      readonly data: {
        readonly records: readonly AuditRecord[];
        readonly text: readonly string[];
        readonly chain: string;
      };
    }
  | { readonly type: 'result'; readonly data: Execution }
);

export interface CreateOptions extends CallOptions {
  /** Left out: one is made up, so that a repeated request cannot run twice. */
  readonly idempotencyKey?: string;
  /** Seconds to wait for the end before the answer; at most 300. */
  readonly wait?: number;
}

export interface ListOptions extends CallOptions {
  readonly state?: ExecutionState;
  readonly labels?: Readonly<Record<string, string>>;
  /** Executions a page. */
  readonly pageSize?: number;
}

/** Seconds that one request waits for an end. */
export const WAIT_SECONDS = 60;
export const isOver = (state: ExecutionState): boolean => state !== 'queued' && state !== 'running';

export class Executions {
  constructor(private readonly transport: Transport) {}

  /** Accepts one to run; resolves at once, or when it has ended within `wait` seconds. */
  create(body: CreateExecution, { idempotencyKey, wait, signal }: CreateOptions = {}): Promise<Execution> {
    return this.transport.json({
      method: 'POST',
      path: '/v1/executions',
      query: { wait },
      headers: { 'idempotency-key': idempotencyKey ?? crypto.randomUUID() },
      body,
      signal,
    });
  }

  /** Runs one to its end. */
  async run(body: CreateExecution, options: Omit<CreateOptions, 'wait'> = {}): Promise<Execution> {
    const execution = await this.create(body, { ...options, wait: WAIT_SECONDS });
    return isOver(execution.state) ? execution : this.wait(execution.id, options);
  }

  get(id: string, { signal }: CallOptions = {}): Promise<Execution> {
    return this.transport.json({ method: 'GET', path: place(id), signal });
  }

  /** Resolves when it has ended, however long that takes. */
  async wait(id: string, { signal }: CallOptions = {}): Promise<Execution> {
    for (;;) {
      const query = { wait: WAIT_SECONDS };
      const execution = await this.transport.json<Execution>({ method: 'GET', path: place(id), query, signal });
      if (isOver(execution.state)) return execution;
    }
  }

  /** Ends it, queued or running. */
  cancel(id: string, { signal }: CallOptions = {}): Promise<Execution> {
    return this.transport.json({ method: 'DELETE', path: place(id), signal });
  }

  /** All that match, newest first, page by page as they are asked for. */
  async *list({ state, labels, pageSize, signal }: ListOptions = {}): AsyncGenerator<Execution, void, undefined> {
    const label = Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`);
    let cursor: string | undefined;
    do {
      const query = { state, label, limit: pageSize, cursor };
      const page: ExecutionList = await this.transport.json({ method: 'GET', path: '/v1/executions', query, signal });
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }

  /**
   * Its events from the first (or behind `after`) to its result, live. A broken connection is taken up where it broke: every event comes
   * once, in order.
   */
  async *events(
    id: string,
    { after, signal }: CallOptions & { after?: string } = {},
  ): AsyncGenerator<ExecutionEvent, void, undefined> {
    const over = async (): Promise<boolean> => isOver((await this.get(id, { signal })).state);
    for await (const { id: eventId, event, data } of followRecord(this.transport, place(id), { after, signal }, over))
      yield { id: eventId, type: event, data: JSON.parse(data) } as ExecutionEvent;
  }

  /** Its system calls, live: needs `audit: { level: 'security' | 'full' }` when it was created. */
  async *audit(
    id: string,
    { syscalls, pid, signal }: CallOptions & { syscalls?: readonly string[]; pid?: number } = {},
  ): AsyncGenerator<AuditRecord, void, undefined> {
    const query = { format: 'ndjson', syscall: syscalls?.join(','), pid };
    const body = await this.transport.stream({ method: 'GET', path: `${place(id)}/audit`, query, signal });
    for await (const line of parseLines(body)) if (line !== '') yield JSON.parse(line) as AuditRecord;
  }
}

const place = (id: string): string => `/v1/executions/${encodeURIComponent(id)}`;

/** Bytes of an output, whatever its encoding. */
export function outputBytes({ data, encoding }: { data: string; encoding: 'utf8' | 'base64' }): Uint8Array {
  if (encoding === 'utf8') return new TextEncoder().encode(data);
  return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
}
