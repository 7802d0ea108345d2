import type { ServerResponse } from 'node:http';

/** Answers of the worker's door (libs/contracts/sandbox-link.ts). */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** Who waits for a response, waits with all others: a replay writes many lines at once. */
const waiting = new WeakMap<ServerResponse, Promise<void>>();

/** Resolves when it takes more, or nobody is there any more. */
export function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  const known = waiting.get(response);
  if (known) return known;
  const until = new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      waiting.delete(response);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
  waiting.set(response, until);
  return until;
}

/** Calls `left` when the one who asked goes; at once, where he went while his request was under way. */
export function whenClosed(response: ServerResponse, left: () => void): void {
  if (response.destroyed) left();
  else response.once('close', left);
}
