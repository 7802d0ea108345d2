import type { FastifyReply } from 'fastify';

/** Aborts when the client goes away. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.on('close', () => controller.abort());
  return controller.signal;
}

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
