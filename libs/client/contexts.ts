import type { components } from './schema.js';
import { parseEvents } from './sse.js';
import type { CallOptions, Transport } from './transport.js';

type Schemas = components['schemas'];
export type CreateContext = Schemas['CreateContextDto'];
export type Context = Schemas['ContextDto'];
export type ContextRun = Schemas['ContextRunDto'];
export type ContextRequest = Schemas['RunInContextDto'];

/** What comes of a run, in order; `end` is the last. */
export type ContextEvent =
  | { readonly type: 'stdout' | 'stderr'; readonly text: string }
  | { readonly type: 'result'; readonly main: boolean; readonly data: Readonly<Record<string, string>> }
  | { readonly type: 'error'; readonly name: string; readonly value: string; readonly traceback: string }
  | {
      readonly type: 'end';
      readonly executionCount: number;
      readonly outcome: ContextRun['outcome'];
      /** Of the last command of a shell, or with which the interpreter exited. */
      readonly exitCode: number | null;
    };

/** Code contexts of one sandbox: interpreters that keep their variables. */
export class Contexts {
  constructor(
    private readonly transport: Transport,
    private readonly place: string,
  ) {}

  /** Not repeated when it gets no answer: there could be two. */
  create(body: CreateContext, { signal }: CallOptions = {}): Promise<Context> {
    return this.transport.json({ method: 'POST', path: this.place, body, once: true, signal });
  }

  async list({ signal }: CallOptions = {}): Promise<Context[]> {
    return (await this.transport.json<Schemas['ContextListDto']>({ method: 'GET', path: this.place, signal })).items;
  }

  get(id: string, { signal }: CallOptions = {}): Promise<Context> {
    return this.transport.json({ method: 'GET', path: this.one(id), signal });
  }

  delete(id: string, { signal }: CallOptions = {}): Promise<Context> {
    return this.transport.json({ method: 'DELETE', path: this.one(id), once: true, signal });
  }

  restart(id: string, { signal }: CallOptions = {}): Promise<Context> {
    return this.transport.json({ method: 'POST', path: `${this.one(id)}/restart`, body: {}, signal });
  }

  interrupt(id: string, { signal }: CallOptions = {}): Promise<Context> {
    return this.transport.json({ method: 'POST', path: `${this.one(id)}/interrupt`, body: {}, signal });
  }

  /** Runs code to its end; sent once. An abort interrupts it. */
  run(id: string, body: ContextRequest, { signal }: CallOptions = {}): Promise<ContextRun> {
    return this.transport.json({ method: 'POST', path: `${this.one(id)}/run`, body, once: true, signal });
  }

  /** As `run`, as it happens. Leaving the loop interrupts the run. */
  async *stream(
    id: string,
    body: ContextRequest,
    { signal }: CallOptions = {},
  ): AsyncGenerator<ContextEvent, void, undefined> {
    const headers = { accept: 'text/event-stream' };
    const path = `${this.one(id)}/run`;
    const events = await this.transport.stream({ method: 'POST', path, headers, body, once: true, signal });
    for await (const { event, data } of parseEvents(events)) {
      yield { type: event, ...JSON.parse(data) } as ContextEvent;
      if (event === 'end') return;
    }
    throw new TypeError('the connection broke before the end of the run');
  }

  private one(id: string): string {
    return `${this.place}/${encodeURIComponent(id)}`;
  }
}
