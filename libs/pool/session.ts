import { FrameType } from '@cordon/sentry/boot/boot-message';
import {
  CHUNK_MAX,
  type SessionExit,
  type SessionReply,
  type SessionRequest,
  STREAM_WINDOW,
  type WatchRequest,
} from '@cordon/sentry/boot/session/session-message';
import { encodeFrame } from './frame-reader.js';
import type { EndReport } from './types.js';

/** Credit is given in pieces of at least so many bytes. */
const CREDIT_PIECE = STREAM_WINDOW / 4;

/** A request the sandbox refused: `errno` is its name (ENOENT ...). */
export class SessionError extends Error {
  override readonly name = 'SessionError';
  constructor(readonly errno: string) {
    super(errno);
  }
}

/** The sandbox has ended; nothing can be asked of it. */
export class SessionEnded extends Error {
  override readonly name = 'SessionEnded';
}

export interface ProcessHandlers {
  /** Bytes of descriptor 1 or 2, in order. A promise holds back the process that writes, and nothing else. */
  output?(descriptor: 1 | 2, bytes: Buffer): void | Promise<void>;
  exit?(exit: SessionExit): void | Promise<void>;
  /** Of a connection: the guest sends no more. */
  end?(): void | Promise<void>;
  /** Nobody holds its output open any more, or the sandbox has ended: nothing more comes. */
  closed?(): void | Promise<void>;
}

export interface SessionAnswer {
  readonly reply: SessionReply;
  readonly bytes: Buffer;
}

/** What a session needs of its run. */
export interface SessionCarrier {
  post(frame: Buffer): Promise<void>;
  cancel(): void;
  readonly ended: Promise<EndReport>;
}

interface Pending {
  resolve(answer: SessionAnswer): void;
  reject(error: Error): void;
}

interface Stream {
  readonly handlers: ProcessHandlers;
  /** Taken, and not yet given back as credit. */
  owed: number;
  /** Handlers are called one after the other. */
  last: Promise<void>;
}

/** A sandbox that lives on: requests to its Sentry and their answers. Frames from it are not trusted. */
export class Session {
  private readonly pending = new Map<number, Pending>();
  private readonly streams = new Map<number, Stream>();
  private next = 1;
  private over = false;
  readonly ended: Promise<EndReport>;

  constructor(private readonly carrier: SessionCarrier) {
    this.ended = carrier.ended.then((report) => {
      this.close();
      return report;
    });
  }

  /** Starts a program; `stream` names it in later requests. Rejects with SessionError (ENOENT, EACCES, EAGAIN ...). */
  start(
    request: Omit<Extract<SessionRequest, { op: 'start' }>, 'op'>,
    handlers: ProcessHandlers,
  ): Promise<{ stream: number; pid: number }> {
    return this.open({ op: 'start', ...request }, handlers);
  }

  /** Connects to a port of the sandbox's loopback; the number names the connection. Rejects with SessionError (ECONNREFUSED ...). */
  async connect(port: number, handlers: ProcessHandlers): Promise<number> {
    return (await this.open({ op: 'connect', port }, handlers)).stream;
  }

  /** Watches a directory: lines of JSON (WatchEvent) as output. Rejects with SessionError (ENOENT, ENOTDIR, EACCES ...). */
  async watch(request: Omit<WatchRequest, 'op'>, handlers: ProcessHandlers): Promise<number> {
    return (await this.open({ op: 'watch', ...request }, handlers)).stream;
  }

  /** The stream is there before its answer: what it says may come together with it. */
  private async open(request: SessionRequest, handlers: ProcessHandlers): Promise<{ stream: number; pid: number }> {
    const stream = this.next;
    this.streams.set(stream, { handlers, owed: 0, last: Promise.resolve() });
    try {
      const { reply } = await this.ask(request);
      return { stream, pid: reply.pid ?? 0 };
    } catch (error) {
      this.streams.delete(stream);
      throw error;
    }
  }

  /** One request and its answer. `bytes`: at most CHUNK_MAX. Rejects with SessionError or SessionEnded. */
  ask(request: SessionRequest, bytes: Uint8Array = new Uint8Array()): Promise<SessionAnswer> {
    if (this.over) return Promise.reject(new SessionEnded('the sandbox has ended'));
    if (bytes.length > CHUNK_MAX) return Promise.reject(new RangeError(`more than ${CHUNK_MAX} bytes in one request`));
    const id = this.next++;
    const json = Buffer.from(JSON.stringify(request), 'utf8');
    const head = Buffer.alloc(8);
    head.writeUInt32LE(id, 0);
    head.writeUInt32LE(json.length, 4);
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      void this.carrier.post(encodeFrame(FrameType.Request, Buffer.concat([head, json, bytes])));
    });
  }

  /** Ends the sandbox. */
  end(): void {
    this.carrier.cancel();
  }

  /** A frame of the Sentry. Throws on nonsense: the sandbox is ended then. */
  receive(type: number, payload: Buffer): void {
    const id = payload.readUInt32LE(0);
    switch (type) {
      case FrameType.Reply: {
        const length = payload.readUInt32LE(4);
        this.answer(id, JSON.parse(payload.toString('utf8', 8, 8 + length)), payload.subarray(8 + length));
        break;
      }
      case FrameType.Output:
        this.output(id, payload[4] === 2 ? 2 : 1, payload.subarray(5));
        break;
      case FrameType.Exit: {
        const stream = this.streams.get(id);
        const exit = checkedExit(JSON.parse(payload.toString('utf8', 4)));
        if (stream) this.inOrder(stream, () => stream.handlers.exit?.(exit));
        break;
      }
      case FrameType.Closed: {
        const stream = this.streams.get(id);
        this.streams.delete(id);
        if (stream) this.inOrder(stream, () => stream.handlers.closed?.());
        break;
      }
      default:
        throw new TypeError(`unknown frame type ${type}`);
    }
  }

  private answer(id: number, reply: SessionReply, bytes: Buffer): void {
    const pending = this.pending.get(id);
    if (!pending) return;
    this.pending.delete(id);
    if (reply.error !== undefined) pending.reject(new SessionError(String(reply.error)));
    else pending.resolve({ reply, bytes });
  }

  private output(id: number, descriptor: 1 | 2, bytes: Buffer): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    if (bytes.length === 0) {
      this.inOrder(stream, () => stream.handlers.end?.());
      return;
    }
    this.inOrder(stream, async () => {
      await stream.handlers.output?.(descriptor, bytes);
      stream.owed += bytes.length;
      if (stream.owed < CREDIT_PIECE || this.over) return;
      const credit = Buffer.alloc(8);
      credit.writeUInt32LE(id, 0);
      credit.writeUInt32LE(stream.owed, 4);
      stream.owed = 0;
      void this.carrier.post(encodeFrame(FrameType.Credit, credit));
    });
  }

  private inOrder(stream: Stream, action: () => void | Promise<void>): void {
    // What a handler throws is its own affair; the stream goes on.
    stream.last = stream.last.then(action).catch(() => undefined);
  }

  private close(): void {
    this.over = true;
    const error = new SessionEnded('the sandbox has ended');
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
    for (const stream of this.streams.values()) this.inOrder(stream, () => stream.handlers.closed?.());
    this.streams.clear();
  }
}

function checkedExit(value: SessionExit): SessionExit {
  const { exitCode, signal, timedOut, cpuMs, wallMs } = value;
  return {
    exitCode: typeof exitCode === 'number' ? exitCode & 0xff : null,
    signal: typeof signal === 'string' ? signal : null,
    timedOut: timedOut === true,
    cpuMs: Number(cpuMs) || 0,
    wallMs: Number(wallMs) || 0,
  };
}
