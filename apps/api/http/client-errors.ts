import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ProblemType, problem } from '@cordon/contracts';
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

  /** Before any handler sees a request. */
  watch(server: Server): void {
    server.prependListener('request', (request, response) => this.latest.set(request.socket, { request, response }));
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
      rejects.inc({ type });
      refuseUpgrade(socket, problem(type, detail));
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

/** RFC 9112, 3.2: HTTP/1.1 wants to know the host. Throws ProblemException (400). */
export function requireHost({ raw }: FastifyRequest): void {
  if (raw.httpVersion === '1.1' && raw.headers.host === undefined)
    throw new ProblemException('malformed-request', 'Host header is missing');
}
