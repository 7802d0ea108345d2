import type { Readable } from 'node:stream';
import { FILE_UPLOAD_BYTES, LINK_CHUNK_BYTES, type WrittenDto } from '@cordon/contracts';
import { ProblemException } from '../http/problem.js';
import type { WorkerLink } from './worker-link.js';

/** In pieces, to a name beside the file's own: a client that goes away in the middle leaves the old content. */
export async function upload(
  link: WorkerLink,
  id: string,
  path: string,
  body: Readable,
  { mode = 0o644, root = false }: { mode?: number; root?: boolean } = {},
): Promise<WrittenDto> {
  const partial = `${path.replace(/\/+$/, '')}.${Math.random().toString(36).slice(2, 10)}.partial`;
  let offset = 0;
  // Anything that fails beside these is the client, leaving.
  let refused: unknown = null;
  const put = async (bytes: Uint8Array): Promise<void> => {
    try {
      await link.ask(id, { op: 'write', path: partial, offset, truncate: offset === 0, mode, root }, bytes);
    } catch (error) {
      refused = error;
      throw error;
    }
    offset += bytes.length;
  };
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (offset + chunk.length > FILE_UPLOAD_BYTES) {
        refused = new ProblemException('payload-too-large', `a file holds at most ${FILE_UPLOAD_BYTES} bytes`);
        throw refused;
      }
      for (let at = 0; at < chunk.length; at += LINK_CHUNK_BYTES) await put(chunk.subarray(at, at + LINK_CHUNK_BYTES));
    }
    if (offset === 0) await put(Buffer.alloc(0));
    await link.ask(id, { op: 'move', from: partial, to: path, root });
  } catch (error) {
    await link.ask(id, { op: 'remove', path: partial, recursive: false, root }).catch(() => undefined);
    // Nobody is left to be told. (That the body is destroyed says nothing: leaving the loop does it.)
    throw refused === null && !body.readableEnded
      ? new ProblemException('invalid-request', 'the upload broke off')
      : error;
  }
  return { bytes: offset };
}
