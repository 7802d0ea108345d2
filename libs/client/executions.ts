import { type CreateOptions, Records } from './records.js';
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

/** Which system calls: those that fit all of it. */
export interface AuditOptions extends CallOptions {
  readonly syscalls?: readonly string[];
  readonly pid?: number;
  /** Names of processes, as their records have them: at most 15 bytes. */
  readonly comm?: string | readonly string[];
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

export interface ListOptions extends CallOptions {
  readonly state?: ExecutionState;
  readonly labels?: Readonly<Record<string, string>>;
  /** Executions a page. */
  readonly pageSize?: number;
}

export class Executions extends Records<CreateExecution, Execution> {
  constructor(transport: Transport) {
    super(transport, '/v1/executions');
  }

  /** Runs one to its end. */
  run(body: CreateExecution, options: Omit<CreateOptions, 'wait'> = {}): Promise<Execution> {
    return this.toEnd(body, options);
  }

  /** All that match, newest first, page by page as they are asked for. */
  list({ state, labels, pageSize, signal }: ListOptions = {}): AsyncGenerator<Execution, void, undefined> {
    return this.pages({ state, limit: pageSize }, labels, signal);
  }

  /**
   * Its events from the first (or behind `after`) to its result, live. A broken connection is taken up where it broke: every event comes
   * once, in order.
   */
  async *events(
    id: string,
    options: CallOptions & { after?: string } = {},
  ): AsyncGenerator<ExecutionEvent, void, undefined> {
    for await (const { id: eventId, event, data } of this.follow(id, options))
      yield { id: eventId, type: event, data: JSON.parse(data) } as ExecutionEvent;
  }

  /** Its system calls, live: needs `audit: { level: 'security' | 'full' }` when it was created. */
  async *audit(
    id: string,
    { syscalls, pid, comm, signal }: AuditOptions = {},
  ): AsyncGenerator<AuditRecord, void, undefined> {
    const query = { format: 'ndjson', syscall: syscalls?.join(','), pid, comm };
    const body = await this.transport.stream({ method: 'GET', path: `${this.place(id)}/audit`, query, signal });
    for await (const line of parseLines(body)) if (line !== '') yield JSON.parse(line) as AuditRecord;
  }
}

/** Bytes of an output, whatever its encoding. */
export function outputBytes({ data, encoding }: { data: string; encoding: 'utf8' | 'base64' }): Uint8Array {
  if (encoding === 'utf8') return new TextEncoder().encode(data);
  return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
}
