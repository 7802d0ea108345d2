import type { IncomingMessage, ServerResponse } from 'node:http';
import { drained } from '../../http/gone.js';
import { E2bError, toE2bError } from './e2b.errors.js';

/** Connect's protocol with JSON (connectrpc.com/docs/protocol): unary calls, and streams of envelopes from the server. */
const BODY_MOST = 8 << 20;
const END_STREAM = 2;
const HEAD = 5;

export type Message = Readonly<Record<string, unknown>>;

export async function readBody(request: IncomingMessage, most = BODY_MOST): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop must not close the connection: there is an answer to give.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += (chunk as Buffer).length;
    if (length > most) throw new E2bError('invalid_argument', `the body has over ${most} bytes`, 413);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function parse(bytes: Buffer): Message {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8') || '{}');
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Message;
  } catch {
    // Told below.
  }
  throw new E2bError('invalid_argument', 'the message must be a JSON object');
}

/** The message of a unary call. */
export async function unaryMessage(request: IncomingMessage): Promise<Message> {
  return parse(await readBody(request));
}

/** The one message of a call that is answered with a stream. */
export async function streamMessage(request: IncomingMessage): Promise<Message> {
  const body = await readBody(request);
  if (body.length < HEAD || body.readUInt32BE(1) !== body.length - HEAD)
    throw new E2bError('invalid_argument', 'the request must be one envelope');
  if (body[0] !== 0) throw new E2bError('unimplemented', 'compressed envelopes are not taken');
  return parse(body.subarray(HEAD));
}

export function sendUnary(response: ServerResponse, message: object): void {
  const body = Buffer.from(JSON.stringify(message));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** `{code, message}`, of Connect and of E2B's own endpoints alike. */
export function sendError(response: ServerResponse, error: unknown, code?: (error: E2bError) => string | number): void {
  const failure = toE2bError(error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify({ code: code ? code(failure) : failure.code, message: failure.message }));
  response.writeHead(failure.status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

function envelope(flags: number, message: object): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const bytes = Buffer.alloc(HEAD + json.length);
  bytes[0] = flags;
  bytes.writeUInt32BE(json.length, 1);
  json.copy(bytes, HEAD);
  return bytes;
}

/** A stream to one client: messages, keepalives while there are none, the end with or without an error (status 200 in any case). */
export class ConnectStream {
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly response: ServerResponse,
    private readonly keepalive: object,
    seconds: number,
  ) {
    response.writeHead(200, { 'content-type': 'application/connect+json' });
    response.flushHeaders();
    this.timer = setInterval(() => response.write(envelope(0, this.keepalive)), seconds * 1000);
  }

  /** Resolves when the client takes more. */
  async send(message: object): Promise<void> {
    if (this.response.write(envelope(0, message)) || this.response.destroyed) return;
    await drained(this.response);
  }

  end(error?: unknown): void {
    if (this.timer) clearInterval(this.timer);
    const failure = error === undefined ? null : toE2bError(error);
    const last = failure === null ? {} : { error: { code: failure.code, message: failure.message } };
    this.response.end(envelope(END_STREAM, last));
  }
}
