import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Problem, type ProblemType, problem } from '@cordon/contracts';
import type { FastifyRequest } from 'fastify';
import { ProblemException } from './problem.js';
import { rejects } from './rejects.js';
import { refuseUpgrade } from './upgrades.js';

/** How long a client that goes on sending may take to read why it is refused (RFC 9112, 9.6: closed at once, the answer could be lost). */
const LINGER_MS = 1_000;

interface Fault {
  readonly code?: string;
  /** In words, of an error of the parser (llhttp). */
  readonly reason?: string;
}

/** What Node's parser refuses for another reason than its grammar. */
const BY_CODE: Readonly<Record<string, readonly [ProblemType, detail?: string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['payload-too-large', 'the extensions of its chunks are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout'],
};

/** What is no HTTP (RFC 9112), has too large a head or does not come to its end: answered with a problem document, then closed. */
export class ClientErrors {
  /** Of each connection the exchange that began last. Those before it on the same connection end before it does. */
  private readonly latest = new WeakMap<Duplex, { request: IncomingMessage; response: ServerResponse }>();
  private readonly refused = new WeakSet<Duplex>();

  /** Before any handler sees a request. What Node would answer without a word, or not at all, is answered here. */
  watch(server: Server): void {
    const begin = (request: IncomingMessage, response: ServerResponse): void => {
      this.latest.set(request.socket, { request, response });
    };
    server.prependListener('request', begin);
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      begin(request, response);
      const refusal = counted('expectation-failed', '100-continue is the only one there is (RFC 9110, 10.1.1)');
      const body = Buffer.from(JSON.stringify(refusal));
      const headers = { 'content-type': 'application/problem+json', 'content-length': body.length };
      response.writeHead(refusal.status, { ...headers, connection: 'close' }).end(body);
    });
    server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
      socket.on('error', () => socket.destroy());
      refuseUpgrade(socket, counted('method-not-allowed', 'this is no proxy'));
    });
  }

  /** The server's `clientError`. */
  refuse({ code, reason }: Fault, socket: Socket): void {
    // Whatever comes behind what could not be read is another error.
    if (this.refused.has(socket)) return;
    this.refused.add(socket);
    if (code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else this.answer(socket, ...(BY_CODE[code ?? ''] ?? ['malformed-request', reason]));
  }

  private answer(socket: Socket, type: ProblemType, detail?: string): void {
    const answer = (): void => {
      if (!socket.writable) return;
      refuseUpgrade(socket, counted(type, detail));
      const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
      socket.once('close', () => clearTimeout(timer));
    };
    const last = this.latest.get(socket);
    const complete = last === undefined || last.request.complete;
    // What is wrong is the next request: an answer to it comes behind that to this one.
    if (last && complete && !last.response.writableFinished) last.response.once('close', answer);
    // Half an answer must not look like a whole one, and after a whole one there is nothing to say.
    else if (last && !complete && last.response.headersSent) socket.destroy();
    else answer();
  }
}

function counted(type: ProblemType, detail?: string): Problem {
  rejects.inc({ type });
  return problem(type, detail);
}

/** RFC 9112, 3.2: HTTP/1.1 wants to know the host, and nobody two of them. Throws ProblemException (400). */
export function requireHost({ raw }: FastifyRequest): void {
  const { httpVersion, rawHeaders } = raw;
  // Names and values take turns.
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  if (hosts === 0 && httpVersion === '1.1') throw new ProblemException('malformed-request', 'Host header is missing');
  if (hosts > 1) throw new ProblemException('malformed-request', 'Host header is given twice');
}
