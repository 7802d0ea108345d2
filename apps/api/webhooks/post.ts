import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Destinations } from './destination.js';

const TIMEOUT_MS = 10_000;

/**
 * Posts a body to a webhook. No redirects, no proxy, no kept connection; the answer's body is not read. -> HTTP status.
 * Throws Error when there was no answer in time, or the destination is not permitted.
 */
export async function post(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  destinations: Destinations,
  { method = 'POST', timeoutMs = TIMEOUT_MS }: { method?: 'POST' | 'PUT'; timeoutMs?: number } = {},
): Promise<number> {
  const { address, family } = await destinations.resolve(url);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const call = send(url, {
      method,
      agent: false,
      headers: { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' },
      // The address that was checked, whatever the name says by now. TLS still checks the name.
      lookup: (_host, options, done) => (options.all ? done(null, [{ address, family }]) : done(null, address, family)),
      signal: AbortSignal.timeout(timeoutMs),
    });
    call.once('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    call.once('error', reject);
    call.end(body);
  });
}
