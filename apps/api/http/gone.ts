import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

/** Aborts when the client goes away; at once where it went while its request was looked at. */
export function closedSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  if (response.destroyed) controller.abort();
  else response.once('close', () => controller.abort());
  return controller.signal;
}

export const goneSignal = (reply: FastifyReply): AbortSignal => closedSignal(reply.raw);

/** Writes to the client, and waits for it when it is behind. */
export async function writeTo(reply: FastifyReply, data: string | Uint8Array, gone: AbortSignal): Promise<void> {
  if (!reply.raw.write(data) && !gone.aborted) await drained(reply.raw);
}

/** A stream of whatever make. */
interface Drains {
  on(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}

/** Resolves when a stream takes more, or is closed. */
export function drained(stream: Drains): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}
