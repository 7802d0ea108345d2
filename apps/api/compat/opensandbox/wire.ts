import type { IncomingMessage, ServerResponse } from 'node:http';
import { drained } from '../../http/gone.js';
import { invalid, OpenSandboxError, toOpenSandboxError } from './opensandbox.errors.js';

const BODY_MOST = 8 << 20;
const PING_MS = 15_000;

/** A JSON body. */
export async function jsonBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop must not close the connection: there is an answer to give.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += (chunk as Buffer).length;
    if (length > BODY_MOST)
      throw new OpenSandboxError(413, 'INVALID_REQUEST_BODY', `the body has over ${BODY_MOST} bytes`);
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
  } catch {
    throw invalid('error parsing request, the body must be JSON');
  }
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

export function sendError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, code, message, retryAfter } = toOpenSandboxError(error);
  const body = Buffer.from(JSON.stringify({ code, message }));
  if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
  // What is left of a body that was refused is not read.
  if (!request.complete) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** Resolves when the client takes more. */
export async function write(response: ServerResponse, bytes: Buffer | string): Promise<void> {
  if (!response.write(bytes) && !response.destroyed) await drained(response);
}

/** execd's events to one client, each with its time; pings while there are none. */
export class EventStream {
  private readonly ping: NodeJS.Timeout;

  constructor(private readonly response: ServerResponse) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.flushHeaders();
    this.ping = setInterval(() => response.write(line({ type: 'ping', text: 'pong' })), PING_MS);
    response.once('close', () => clearInterval(this.ping));
  }

  send(event: object): Promise<void> {
    return write(this.response, line(event));
  }

  end(): void {
    clearInterval(this.ping);
    this.response.end();
  }
}

const line = (event: object): string => `data: ${JSON.stringify({ ...event, timestamp: Date.now() })}\n\n`;
