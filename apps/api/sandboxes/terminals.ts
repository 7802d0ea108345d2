import { constants } from 'node:os';
import { PROCESS_NUMBER_MAX, type ProcessEvent, type StartProcess, TERMINAL_SIZE } from '@cordon/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RawData, WebSocket } from 'ws';
import { ProblemException } from '../http/problem.js';
import { wholeNumber } from '../http/query.js';
import {
  CLOSE,
  complain,
  inputBytes,
  parseMessage,
  type Serve,
  sendTo,
  type WebSocketRoutes,
} from '../http/upgrades.js';
import { OrderedInput } from './ordered-input.js';
import { SandboxesService } from './sandboxes.service.js';
import { absolutePath, terminalEnvironment } from './validate.js';
import type { WorkerLink } from './worker-link.js';

const ATTACH = /^\/v1\/sandboxes\/([^/]+)\/processes\/([^/]+)\/attach$/;
const TERMINAL = /^\/v1\/sandboxes\/([^/]+)\/terminal$/;
const PING_MS = 15_000;
const SIGNAL_MAX = 64;
/** What a user of a terminal expects: bash where there is one. */
const SHELL = ['/bin/sh', '-c', 'if [ -x /bin/bash ]; then exec /bin/bash -il; else exec /bin/sh -il; fi'];

/**
 * WebSockets of sandboxes: `…/processes/:process/attach` to a process that an exec started, and `…/terminal`, which starts a shell
 * on a terminal and attaches to it. Clients may leave and come back (`?from=`): the process goes on.
 */
export function serveTerminals(app: NestFastifyApplication, routes: WebSocketRoutes): void {
  const sandboxes = app.get(SandboxesService);
  routes.add(ATTACH, ['sandbox'], async ({ principal, groups: [id, text], query, gone }) => {
    const process = processNumber(text);
    const from = wholeNumber(query.get('from') ?? undefined, 'from', 0, Number.MAX_SAFE_INTEGER, 0);
    return sandboxes.with(principal.tenant, id, (link) => attach(link, id, process, from, gone));
  });
  routes.add(TERMINAL, ['sandbox'], async ({ principal, groups: [id], query, gone }) => {
    const start = shellOf(query);
    return sandboxes.with(principal.tenant, id, async (link) =>
      attach(link, id, await started(link, id, start), 0, gone),
    );
  });
}

/** The worker has agreed before the client is answered; then nothing that the client sends may be missed. */
async function attach(link: WorkerLink, id: string, process: number, from: number, gone: AbortSignal): Promise<Serve> {
  const events = await link.openEvents(`/sandboxes/${id}/follow/${process}?from=${from}`, {}, gone);
  return (client) => new Attached(client, id, link, process, gone).serve(events);
}

function shellOf(query: URLSearchParams): StartProcess {
  const size = (name: 'rows' | 'columns'): number =>
    wholeNumber(query.get(name) ?? undefined, name, TERMINAL_SIZE.minimum, TERMINAL_SIZE.maximum, TERMINAL_SIZE[name]);
  const user = query.get('user') ?? 'user';
  if (user !== 'user' && user !== 'root')
    throw new ProblemException('invalid-request', undefined, [{ pointer: '?user', detail: 'must be user or root' }]);
  return {
    argv: SHELL,
    env: terminalEnvironment({}),
    cwd: absolutePath(query.get('cwd') ?? '.', '?cwd'),
    root: user === 'root',
    stdin: true,
    terminal: { rows: size('rows'), columns: size('columns') },
    timeoutMs: null,
    background: true,
  };
}

/** Starts in the background: the number of the process. */
async function started(link: WorkerLink, id: string, start: StartProcess): Promise<number> {
  for await (const event of link.events(`/sandboxes/${id}/start`, start, new AbortController().signal))
    if (event.type === 'started') return event.process;
  throw new ProblemException('sandbox-ended');
}

/** The number of a process from a path. Throws ProblemException (404). */
export function processNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > PROCESS_NUMBER_MAX)
    throw new ProblemException('not-found', 'no such process');
  return Number(text);
}

/** One client at one process of a sandbox. */
class Attached {
  private readonly input: OrderedInput;

  constructor(
    private readonly client: WebSocket,
    private readonly id: string,
    private readonly link: WorkerLink,
    private readonly process: number,
    private readonly gone: AbortSignal,
  ) {
    this.input = new OrderedInput(client, (error) => complain(client, error.message));
  }

  async serve(events: AsyncIterable<ProcessEvent>): Promise<void> {
    const { client, gone } = this;
    client.on('message', (data, isBinary) => this.receive(data, isBinary));
    const ping = setInterval(() => client.ping(), PING_MS);
    let ended = false;
    try {
      for await (const { seq, type, ...data } of events) {
        ended = type === 'exit' || type === 'lost';
        await sendTo(client, { id: seq, type, data }, gone);
      }
    } catch {
      // Its worker is gone: said below.
    } finally {
      if (ended) client.close(CLOSE.normal);
      // The sandbox tells why.
      else client.close(CLOSE.failure, 'the connection to its worker broke');
      clearInterval(ping);
    }
  }

  private receive(data: RawData, isBinary: boolean): void {
    // Binary is what was typed, as it is.
    const todo = isBinary ? this.feed(toBuffer(data), false) : this.understand(String(data));
    if (typeof todo === 'string') complain(this.client, todo);
  }

  /** Does what a message says; or what is wrong with it. */
  private understand(text: string): string | undefined {
    const message = parseMessage(text);
    if (typeof message === 'string') return message;
    const { type, signal, rows, columns } = message;
    switch (type) {
      case 'stdin': {
        const bytes = inputBytes(message);
        return typeof bytes === 'string' ? bytes : this.feed(bytes, false);
      }
      case 'eof':
        return this.feed(Buffer.alloc(0), true);
      case 'signal': {
        const known = typeof signal === 'number' ? signal : constants.signals[signal as keyof typeof constants.signals];
        if (!Number.isInteger(known) || known < 1 || known > SIGNAL_MAX)
          return '"signal" is a name such as SIGINT, or 1 to 64';
        return this.input.add(() => this.link.ask(this.id, { op: 'signal', process: this.process, signal: known }));
      }
      case 'resize':
        if (!isSize(rows) || !isSize(columns))
          return `"rows" and "columns" are ${TERMINAL_SIZE.minimum} to ${TERMINAL_SIZE.maximum}`;
        return this.input.add(() => this.link.ask(this.id, { op: 'resize', process: this.process, rows, columns }));
      default:
        return '"type" is stdin, eof, signal or resize';
    }
  }

  private feed(bytes: Buffer, end: boolean): undefined {
    return this.input.add(() => this.link.feed(this.id, this.process, bytes, end), bytes.length);
  }
}

function isSize(value: unknown): value is number {
  return (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= TERMINAL_SIZE.minimum &&
    value <= TERMINAL_SIZE.maximum
  );
}

export function toBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
