import { CordonError } from './errors.js';
import { parseEvents, type ServerSentEvent } from './sse.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * Events of an execution or submission from the first (or behind `after`) to its `result`. A broken connection is taken up where it
 * broke: every event comes once, in order. `over` tells whether it has ended.
 */
export async function* followRecord(
  transport: Transport,
  path: string,
  { after, signal }: CallOptions & { after?: string },
  over: () => Promise<boolean>,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let last = after;
  let ended = false;
  for (let attempt = 1; ; attempt++) {
    try {
      const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last };
      const body = await transport.stream({ method: 'GET', path: `${path}/events`, headers, signal });
      for await (const event of parseEvents(body)) {
        last = event.id;
        attempt = 1;
        yield event;
        if (event.event === 'result') return;
      }
      // Ended without a result: a proxy cut it, or it is over and there is nothing (more) to come. One more look tells.
      if (ended) return;
      ended = await over();
      if (!ended) await transport.pause(attempt, null, signal);
    } catch (error) {
      if (error instanceof CordonError || !transport.mayRetry(attempt, error, signal)) throw error;
      await transport.pause(attempt, null, signal);
    }
  }
}
