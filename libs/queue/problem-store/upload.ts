import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { keys } from '../names.js';

/** Test data is kept in pieces of at most so many bytes. */
export const CHUNK_BYTES = 1 << 20;
/** An upload that its API process left behind is forgotten after this long; so long may one take. */
const STAGED_SECONDS = 900;

/** A file of test data: its pieces, in order. */
export interface StoredFile {
  readonly bytes: number;
  readonly chunks: readonly { readonly digest: string; readonly bytes: number }[];
}

/**
 * Test data on its way in: pieces by content, aside until a version takes them (`ProblemStore.addVersion`). Whoever begins one discards
 * it in the end, whatever came of it.
 */
export class Upload {
  readonly id = randomBytes(12).toString('hex');
  private readonly staged = new Set<string>();

  constructor(private readonly redis: Redis) {}

  /** Takes a file as it comes. */
  async file(content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<StoredFile> {
    const chunks: { digest: string; bytes: number }[] = [];
    let held: Buffer[] = [];
    let length = 0;
    const stage = async (): Promise<void> => {
      const bytes = Buffer.concat(held);
      held = [];
      length = 0;
      chunks.push({ digest: await this.stage(bytes), bytes: bytes.length });
    };
    for await (const piece of content) {
      for (let at = 0; at < piece.length; ) {
        const part = piece.subarray(at, at + CHUNK_BYTES - length);
        held.push(part);
        length += part.length;
        at += part.length;
        if (length === CHUNK_BYTES) await stage();
      }
    }
    if (length > 0) await stage();
    return { bytes: chunks.reduce((sum, { bytes }) => sum + bytes, 0), chunks };
  }

  private async stage(bytes: Buffer): Promise<string> {
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (this.staged.has(digest)) return digest;
    await this.redis.set(keys.staged(this.id, digest), bytes, 'EX', STAGED_SECONDS);
    this.staged.add(digest);
    return digest;
  }

  /** What no version took goes. */
  async discard(): Promise<void> {
    const places = [...this.staged].map((digest) => keys.staged(this.id, digest));
    this.staged.clear();
    if (places.length > 0) await this.redis.unlink(places);
  }
}
