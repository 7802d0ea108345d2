import { Duplex } from 'node:stream';
import { CHUNK_MAX } from '@cordon/sentry/boot/session/session-message';
import type { ProcessHandlers, Session } from './session.js';

/** A connection to a port of a sandbox, as a stream: half-close and backpressure reach the guest. */
export class Dialed extends Duplex {
  private stream = 0;
  private taken: (() => void) | null = null;
  private heard = false;

  private constructor(private readonly session: Session) {
    super({ allowHalfOpen: true });
  }

  /** Rejects with SessionError (ECONNREFUSED, ENETUNREACH without a network, EAGAIN) or SessionEnded. */
  static async open(session: Session, port: number): Promise<Dialed> {
    const dialed = new Dialed(session);
    const handlers: ProcessHandlers = {
      output: (_descriptor, bytes) => dialed.received(bytes),
      end: () => {
        dialed.heard = true;
        dialed.push(null);
      },
      closed: () => {
        if (!dialed.heard) dialed.destroy(Object.assign(new Error('connection reset'), { code: 'ECONNRESET' }));
      },
    };
    dialed.stream = await session.connect(port, handlers);
    return dialed;
  }

  private received(bytes: Buffer): void | Promise<void> {
    if (this.destroyed || this.push(bytes)) return undefined;
    return new Promise((resolve) => {
      this.taken = resolve;
    });
  }

  override _read(): void {
    this.taken?.();
    this.taken = null;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.send(chunk).then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  private async send(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK_MAX)
      await this.session.ask({ op: 'stdin', process: this.stream }, bytes.subarray(at, at + CHUNK_MAX));
  }

  override _final(done: (error?: Error) => void): void {
    // A guest that has closed already needs not to be told.
    this.session.ask({ op: 'stdin', process: this.stream }).then(
      () => done(),
      () => done(),
    );
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._read();
    this.session.ask({ op: 'close', process: this.stream }).catch(() => undefined);
    done(error);
  }
}
