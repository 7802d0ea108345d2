import type { FastifyReply } from 'fastify';

/** Aborts when the client goes away. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.on('close', () => controller.abort());
  return controller.signal;
}

/** Writes to the client, and waits for it when it is behind. */
export async function writeTo(reply: FastifyReply, data: string | Uint8Array, gone: AbortSignal): Promise<void> {
  const { raw } = reply;
  if (raw.write(data) || gone.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      raw.off('drain', done);
      raw.off('close', done);
      resolve();
    };
    raw.on('drain', done);
    raw.on('close', done);
  });
}
