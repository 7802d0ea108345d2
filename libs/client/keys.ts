import type { components } from './schema.js';
import type { CallOptions, Transport } from './transport.js';

type Schemas = components['schemas'];
export type CreateKey = Schemas['CreateKeyDto'];
export type Key = Schemas['KeyDto'];
export type CreatedKey = Schemas['CreatedKeyDto'];

/** API keys; needs a key with the scope `admin`. */
export class Keys {
  constructor(private readonly transport: Transport) {}

  /** The only answer that holds the key's text. Not repeated when it gets no answer: there could be two. */
  create(body: CreateKey, { signal }: CallOptions = {}): Promise<CreatedKey> {
    return this.transport.json({ method: 'POST', path: '/v1/keys', body, signal, once: true });
  }

  get(id: string, { signal }: CallOptions = {}): Promise<Key> {
    return this.transport.json({ method: 'GET', path: `/v1/keys/${encodeURIComponent(id)}`, signal });
  }

  /** Refused from now on. */
  revoke(id: string, { signal }: CallOptions = {}): Promise<Key> {
    return this.transport.json({ method: 'DELETE', path: `/v1/keys/${encodeURIComponent(id)}`, signal });
  }

  /** All keys, newest first. */
  async *list({ signal }: CallOptions = {}): AsyncGenerator<Key, void, undefined> {
    let cursor: string | undefined;
    do {
      const page: Schemas['KeyListDto'] = await this.transport.json({
        method: 'GET',
        path: '/v1/keys',
        query: { cursor },
        signal,
      });
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }
}
