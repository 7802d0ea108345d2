import { Contexts } from './contexts.js';
import { CordonError } from './errors.js';
import type { AuditOptions, AuditRecord } from './executions.js';
import { SandboxFiles } from './sandbox-files.js';
import type { components } from './schema.js';
import { parseEvents, parseLines } from './sse.js';
import type { CallOptions, Transport } from './transport.js';

type Schemas = components['schemas'];
export type CreateSandbox = Schemas['CreateSandboxDto'];
export type SandboxInfo = Schemas['SandboxDto'];
export type Exec = Omit<Schemas['ExecDto'], 'background'>;
export type ExecResult = Schemas['ExecResultDto'];
export type ExecStarted = Schemas['ExecStartedDto'];
export type SandboxProcess = Schemas['SandboxProcessDto'];
export type SandboxUsage = Schemas['SandboxUsageDto'];

/** An event of a process; `id` resumes its stream behind it. */
export type ProcessEvent = { readonly id: string } & (
  | { readonly type: 'started'; readonly process: number; readonly pid: number }
  | { readonly type: 'stdout' | 'stderr'; readonly data: string; readonly encoding: 'utf8' | 'base64' }
  /** Events before this one are not kept any more. */
  | { readonly type: 'gap'; readonly bytes: number }
  | {
      readonly type: 'exit';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly timedOut: boolean;
      readonly cpuMs: number;
      readonly wallMs: number;
    }
  /** The sandbox ended first. */
  | { readonly type: 'lost' }
);

/** Sandboxes that live on. */
export class Sandboxes {
  constructor(private readonly transport: Transport) {}

  /** Not repeated when it gets no answer: there could be two. */
  async create(body: CreateSandbox = {}, { signal }: CallOptions = {}): Promise<Sandbox> {
    const info = await this.transport.json<SandboxInfo>({
      method: 'POST',
      path: '/v1/sandboxes',
      body,
      once: true,
      signal,
    });
    return new Sandbox(this.transport, info.id);
  }

  /** One that is there; nothing is asked of the server. */
  at(id: string): Sandbox {
    return new Sandbox(this.transport, id);
  }

  /** Newest first; those that ended are listed for an hour. */
  async list({ signal }: CallOptions = {}): Promise<SandboxInfo[]> {
    const { items } = await this.transport.json<Schemas['SandboxListDto']>({
      method: 'GET',
      path: '/v1/sandboxes',
      signal,
    });
    return items;
  }
}

/** One sandbox. */
export class Sandbox {
  readonly files: SandboxFiles;
  readonly contexts: Contexts;
  private readonly place: string;

  constructor(
    private readonly transport: Transport,
    readonly id: string,
  ) {
    this.place = `/v1/sandboxes/${encodeURIComponent(id)}`;
    this.files = new SandboxFiles(transport, `${this.place}/files`);
    this.contexts = new Contexts(transport, `${this.place}/contexts`);
  }

  info({ signal }: CallOptions = {}): Promise<SandboxInfo> {
    return this.transport.json({ method: 'GET', path: this.place, signal });
  }

  /** Ends it, with everything in it. */
  delete({ signal }: CallOptions = {}): Promise<SandboxInfo> {
    return this.transport.json({ method: 'DELETE', path: this.place, once: true, signal });
  }

  /** Its time is over so many seconds from now. */
  extend(ttlSeconds: number, { signal }: CallOptions = {}): Promise<SandboxInfo> {
    return this.transport.json({ method: 'POST', path: `${this.place}/extend`, body: { ttlSeconds }, signal });
  }

  /** Runs a command to its end; sent once. An abort ends it. */
  exec(body: Exec, { signal }: CallOptions = {}): Promise<ExecResult> {
    return this.transport.json({ method: 'POST', path: `${this.place}/exec`, body, once: true, signal });
  }

  /** As `exec`, as it happens. Leaving the loop ends the command. */
  async *stream(body: Exec, { signal }: CallOptions = {}): AsyncGenerator<ProcessEvent, void, undefined> {
    const headers = { accept: 'text/event-stream' };
    const path = `${this.place}/exec`;
    yield* processEvents(await this.transport.stream({ method: 'POST', path, headers, body, once: true, signal }));
  }

  /** Starts a command that runs on by itself. */
  start(body: Exec, { signal }: CallOptions = {}): Promise<ExecStarted> {
    const path = `${this.place}/exec`;
    return this.transport.json({ method: 'POST', path, body: { ...body, background: true }, once: true, signal });
  }

  async processes({ signal }: CallOptions = {}): Promise<SandboxProcess[]> {
    const { items } = await this.transport.json<Schemas['SandboxProcessListDto']>({
      method: 'GET',
      path: `${this.place}/processes`,
      signal,
    });
    return items;
  }

  /**
   * Events of a process that was started: what was kept, then what comes, to its end. A broken connection is taken up where it broke.
   */
  async *events(
    process: number,
    { after, signal }: CallOptions & { after?: string } = {},
  ): AsyncGenerator<ProcessEvent, void, undefined> {
    let last = after;
    for (let attempt = 1; ; attempt++) {
      try {
        const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
        const path = `${this.place}/processes/${process}/events`;
        for await (const event of processEvents(
          await this.transport.stream({ method: 'GET', path, headers, signal }),
        )) {
          last = event.id;
          attempt = 1;
          yield event;
          if (event.type === 'exit' || event.type === 'lost') return;
        }
      } catch (error) {
        if (error instanceof CordonError || !this.transport.mayRetry(attempt, error, signal)) throw error;
      }
      await this.transport.pause(attempt, null, signal);
    }
  }

  /** Input of a process started with `openStdin`; sent once. */
  stdin(process: number, data: string, { end, signal }: CallOptions & { end?: boolean } = {}): Promise<void> {
    const path = `${this.place}/processes/${process}/stdin`;
    return this.transport.nothing({ method: 'POST', path, body: { data, end: end ?? false }, once: true, signal });
  }

  /** To the process group. */
  signal(process: number, number: number, { signal }: CallOptions = {}): Promise<void> {
    const path = `${this.place}/processes/${process}/signal`;
    return this.transport.nothing({ method: 'POST', path, body: { signal: number }, once: true, signal });
  }

  usage({ signal }: CallOptions = {}): Promise<SandboxUsage> {
    return this.transport.json({ method: 'GET', path: `${this.place}/usage`, signal });
  }

  /** Its system calls so far. */
  async *audit({ syscalls, pid, comm, signal }: AuditOptions = {}): AsyncGenerator<AuditRecord, void, undefined> {
    const query = { syscall: syscalls?.join(','), pid, comm };
    const body = await this.transport.stream({ method: 'GET', path: `${this.place}/audit`, query, signal });
    for await (const line of parseLines(body)) if (line !== '') yield JSON.parse(line) as AuditRecord;
  }
}

async function* processEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ProcessEvent, void, undefined> {
  for await (const { id, event, data } of parseEvents(body))
    yield { id, type: event, ...JSON.parse(data) } as ProcessEvent;
}
