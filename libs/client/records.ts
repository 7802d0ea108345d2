import { followRecord } from './follow-record.js';
import type { components } from './schema.js';
import type { ServerSentEvent } from './sse.js';
import type { CallOptions, Transport } from './transport.js';

type State = components['schemas']['ExecutionDto']['state'];

export interface CreateOptions extends CallOptions {
  /** Left out: one is made up, so that a repeated request cannot run twice. */
  readonly idempotencyKey?: string;
  /** Seconds to wait for the end before the answer; at most 300. */
  readonly wait?: number;
}

/** Seconds that one request waits for an end. */
const WAIT_SECONDS = 60;
const isOver = (state: State): boolean => state !== 'queued' && state !== 'running';

/** What is accepted, waits for its turn, and ends: executions and submissions. */
export class Records<Body, Item extends { readonly id: string; readonly state: State }> {
  constructor(
    protected readonly transport: Transport,
    private readonly collection: string,
  ) {}

  /** Accepts one; resolves at once, or when it has ended within `wait` seconds. */
  create(body: Body, { idempotencyKey, wait, signal }: CreateOptions = {}): Promise<Item> {
    return this.transport.json({
      method: 'POST',
      path: this.collection,
      query: { wait },
      headers: { 'idempotency-key': idempotencyKey ?? crypto.randomUUID() },
      body,
      signal,
    });
  }

  get(id: string, { signal }: CallOptions = {}): Promise<Item> {
    return this.transport.json({ method: 'GET', path: this.place(id), signal });
  }

  /** Resolves when it has ended, however long that takes. */
  async wait(id: string, { signal }: CallOptions = {}): Promise<Item> {
    for (;;) {
      const query = { wait: WAIT_SECONDS };
      const item = await this.transport.json<Item>({ method: 'GET', path: this.place(id), query, signal });
      if (isOver(item.state)) return item;
    }
  }

  /** Ends it, queued or running. */
  cancel(id: string, { signal }: CallOptions = {}): Promise<Item> {
    return this.transport.json({ method: 'DELETE', path: this.place(id), signal });
  }

  protected async toEnd(body: Body, options: Omit<CreateOptions, 'wait'>): Promise<Item> {
    const item = await this.create(body, { ...options, wait: WAIT_SECONDS });
    return isOver(item.state) ? item : this.wait(item.id, options);
  }

  protected async *pages(
    filter: Readonly<Record<string, string | number | undefined>>,
    labels: Readonly<Record<string, string>> | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Item, void, undefined> {
    const label = Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`);
    let cursor: string | undefined;
    do {
      const page = await this.transport.json<{ items: Item[]; nextCursor: string | null }>({
        method: 'GET',
        path: this.collection,
        query: { ...filter, label, cursor },
        signal,
      });
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }

  protected follow(
    id: string,
    options: CallOptions & { after?: string },
  ): AsyncGenerator<ServerSentEvent, void, undefined> {
    const { signal } = options;
    return followRecord(this.transport, this.place(id), options, async () =>
      isOver((await this.get(id, { signal })).state),
    );
  }

  protected place(id: string): string {
    return `${this.collection}/${encodeURIComponent(id)}`;
  }
}
