import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Duplex, PassThrough, pipeline } from 'node:stream';
import { type Problem, problem } from '@cordon/contracts';
import { CORDON_KEY } from '../http/auth.guard.js';
import { toProblem } from '../http/problem.js';
import { ClosedForOthers } from './websocket-close.js';

const PLACE = /^\/v1\/sandboxes\/([^/?]+)\/ports\/([1-9]\d{0,4})(\/[^?]*)?(\?.*)?$/;
const PORT_MAX = 65535;
/** What a client has to leave by itself when the server is gone. */
const LEAVE_MS = 5_000;

/** RFC 9110, 7.6.1: about one connection, never passed on. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export interface PortPlace {
  readonly id: string;
  readonly port: number;
  /** Of the server in the sandbox: path and query, as they came. */
  readonly path: string;
  /** What was before it. */
  readonly prefix: string;
}

/** The port of a sandbox that a request is for; null when it is for none. */
export function portPlace(url: string): PortPlace | null {
  const match = PLACE.exec(url);
  if (match === null || Number(match[2]) > PORT_MAX) return null;
  const [, id, port, path = '/', query = ''] = match;
  return { id, port: Number(port), path: path + query, prefix: `/v1/sandboxes/${id}/ports/${port}` };
}

export interface Forward {
  /** A connection to the server. Throws ProblemException. */
  readonly dial: () => Promise<Duplex>;
  readonly port: number;
  readonly path: string;
  /** For X-Forwarded-Prefix; empty: none. */
  readonly prefix: string;
  /** Headers that are ours: lower case. */
  readonly drop: ReadonlySet<string>;
}

/** Our own key is not the guest's business: it travels in Authorization, or in a header of ours beside the guest's Authorization. */
export function ownHeaders(request: IncomingMessage): ReadonlySet<string> {
  return new Set([CORDON_KEY, ...(CORDON_KEY in request.headers ? [] : ['authorization'])]);
}

/** Names and values one after the other, as they came, without those that end here. */
function passedOn(message: IncomingMessage, drop: ReadonlySet<string>): string[] {
  const named = (message.headers.connection ?? '').toLowerCase().split(/[\s,]+/);
  const passed: string[] = [];
  for (let at = 0; at < message.rawHeaders.length; at += 2) {
    const name = message.rawHeaders[at].toLowerCase();
    if (HOP_BY_HOP.has(name) || named.includes(name) || drop.has(name)) continue;
    passed.push(message.rawHeaders[at], message.rawHeaders[at + 1]);
  }
  return passed;
}

function ask(request: IncomingMessage, connection: Duplex, forward: Forward, upgrade: boolean): ClientRequest {
  const { port, path, prefix, drop } = forward;
  const { headers, method, socket } = request;
  const own = new Set([...drop, 'host', 'expect', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-prefix']);
  const from = [headers['x-forwarded-for'], socket.remoteAddress].filter(Boolean).join(', ');
  const sent = [
    ...['Host', `localhost:${port}`],
    ...['X-Forwarded-For', from],
    ...['X-Forwarded-Host', headers.host ?? ''],
    ...(prefix === '' ? [] : ['X-Forwarded-Prefix', prefix]),
    ...['Connection', upgrade ? 'upgrade' : 'close'],
    ...(upgrade ? ['Upgrade', headers.upgrade ?? ''] : []),
    ...passedOn(request, own),
  ];
  return httpRequest({ method, path, headers: sent, createConnection: () => connection });
}

function answer(response: ServerResponse, body: Problem): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const text = JSON.stringify(body);
  response.writeHead(body.status, {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

const broke = (error: Error): Problem => problem('port-unreachable', `the server broke off: ${error.message}`);

/** A request to a server inside the sandbox; bodies stream both ways. Answers in any case. */
export async function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  forward: Forward,
): Promise<void> {
  let connection: Duplex;
  try {
    connection = await forward.dial();
  } catch (error) {
    answer(response, toProblem(error));
    return;
  }
  const asked = ask(request, connection, forward, false);
  response.on('close', () => {
    if (!response.writableFinished) asked.destroy();
  });
  asked.on('response', (answered) => {
    response.writeHead(
      answered.statusCode ?? 502,
      answered.statusMessage ?? '',
      passedOn(answered, new Set()) as unknown as Record<string, string>,
    );
    // A guest that breaks off in the middle must not look as if it had ended.
    pipeline(answered, response, (error) => error && response.destroy());
  });
  asked.on('error', (error) => answer(response, broke(error)));
  // A server may answer before it has read everything; the rest is nobody's.
  pipeline(request, asked, () => undefined);
}

/** An upgrade (a WebSocket): from the server's agreement on, bytes both ways. `refuse` answers what is refused. */
export async function forwardUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  forward: Forward,
): Promise<void> {
  const asked = ask(request, await forward.dial(), forward, true);
  socket.on('close', () => asked.destroy());
  asked.on('upgrade', (answered, inside: Duplex, insideHead: Buffer) => {
    socket.write(headOf(answered, ['Connection', 'upgrade', 'Upgrade', answered.headers.upgrade ?? '']));
    if (insideHead.length > 0) inside.unshift(insideHead);
    if (head.length > 0) inside.write(head);
    joined(inside, socket, (answered.headers.upgrade ?? '').toLowerCase() === 'websocket');
  });
  asked.on('response', (answered) => {
    socket.write(headOf(answered, ['Connection', 'close']));
    pipeline(answered, socket, () => undefined);
  });
  asked.on('error', (error) => {
    const body = JSON.stringify(broke(error));
    socket.end(
      `HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n${body}`,
    );
  });
  asked.end();
}

/** Bytes both ways until either is gone. A client of WebSockets hears of it when the server goes without a word. */
function joined(inside: Duplex, socket: Duplex, webSocket: boolean): void {
  const told = webSocket ? new ClosedForOthers('the server in the sandbox is gone') : new PassThrough();
  const over = (): void => {
    told.end();
    setTimeout(() => socket.destroy(), LEAVE_MS).unref();
  };
  inside.on('error', over);
  inside.on('close', over);
  told.on('error', () => socket.destroy());
  socket.on('error', () => inside.destroy());
  socket.on('end', () => inside.destroyed && socket.destroy());
  socket.on('close', () => inside.destroy());
  inside.pipe(told).pipe(socket);
  socket.pipe(inside);
}

function headOf(answered: IncomingMessage, more: readonly string[]): string {
  const headers = [...passedOn(answered, new Set()), ...more];
  let text = `HTTP/1.1 ${answered.statusCode} ${answered.statusMessage}\r\n`;
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return `${text}\r\n`;
}
