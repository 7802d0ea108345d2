import { Socket } from 'node:net';
import { FrameType } from '@cordon/sentry/boot/boot-message';
import { host } from '@cordon/sentry/platform/host';
import { check, zygoteNative as native } from '@cordon/sentry/platform/zygote.unsafe';
import { FrameReader } from './frame-reader.js';
import type { ChildExit, ZygoteProcess } from './zygote-process.js';

/** What a Sentry says, frame by frame. Returning a promise holds its socket back until that settles. */
export type FrameListener = (type: number, payload: Buffer) => void | Promise<void>;

/** A Sentry's frames are cut to its output buffer, which is far smaller. */
const PAYLOAD_MAX = 4 * 1024 * 1024;
/** A fork is ready in milliseconds; one that is not by then, on the slowest machine, never will be. */
const READY_TIMEOUT_MS = 10_000;
/** How long a child's exit report may lag behind the end of its channel. */
const EXIT_REPORT_TIMEOUT_MS = 2_000;

/** One forked Sentry: its channel and its process. Used for one run at most, never reused. */
export class SentryProcess {
  /** When the zygote was asked for it: CLOCK_MONOTONIC, ns. */
  readonly askedAt = host.now();
  /** Set by the Ready frame. */
  ready = false;
  /** True from the moment nothing more can come: the channel is at its end and the exit is known (or given up on). */
  ended = false;
  /** How it ended, for the log. */
  lastDetail = '';
  private readonly id: number;
  /** Two faces of one socket: a write after the Sentry's end fails, and Node would then drop what it had sent before. */
  private readonly socket: Socket;
  private readonly writer: Socket;
  /** Told when their frame has left, or never will. */
  private readonly unsent = new Set<() => void>();
  private readonly reader = new FrameReader(PAYLOAD_MAX);
  private listener: FrameListener = () => {};
  private onEnded: (exit: ChildExit) => void = () => {};
  private exit: ChildExit | null = null;
  private channelEnded = false;
  private held = false;
  private malformed: string | null = null;
  private exitTimer: NodeJS.Timeout | null = null;
  private readonly readyTimer: NodeJS.Timeout;

  /** `changed` is called when the Sentry became ready, and when it ended. */
  constructor(
    readonly zygote: ZygoteProcess,
    readonly cpu: number,
    private readonly changed: (sentry: SentryProcess) => void,
  ) {
    const pair = new Int32Array(2);
    check(native.socketPair(pair), 'socketpair');
    const [ours, theirs] = pair;
    this.writer = new Socket({ fd: check(native.duplicate(ours), 'dup'), readable: false, writable: true });
    this.writer.on('error', () => {});
    this.socket = new Socket({ fd: ours, readable: true, writable: false });
    this.socket.on('data', (chunk: Buffer) => {
      this.reader.push(chunk);
      this.drain();
    });
    // A reset: the end of the channel tells the story.
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.writer.destroy();
      for (const done of this.unsent) done();
      this.channelEnded = true;
      this.drain();
    });
    this.readyTimer = setTimeout(() => {
      this.malformed ??= 'the Sentry was not ready in time';
      this.kill();
    }, READY_TIMEOUT_MS);
    this.readyTimer.unref();
    this.id = zygote.fork(theirs, cpu, {
      forked: () => {},
      exited: (exit) => {
        this.exit = exit;
        // Stubs can hold no copy of the channel, so its end is near: but never wait for it without bound.
        if (!this.channelEnded && exit.lost !== null) this.socket.destroy();
        this.settle();
      },
    });
  }

  /** From now on frames go to `listener`; `ended` is called once, after the last frame. */
  attach(listener: FrameListener, ended: (exit: ChildExit) => void): void {
    this.listener = listener;
    this.onEnded = ended;
  }

  /** Sends bytes; false when the socket's buffer is full (see `drained`). Harmless after the end. */
  send(frame: Uint8Array): boolean {
    return this.writer.writable ? this.writer.write(frame) : true;
  }

  /** Resolves when the frame has left this process or the Sentry is gone. Never rejects. */
  sendAndWait(frame: Uint8Array): Promise<void> {
    if (!this.writer.writable) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.unsent.delete(done);
        resolve();
      };
      this.unsent.add(done);
      this.writer.write(frame, done);
    });
  }

  /** SIGKILL. The end is reported as always. */
  kill(): void {
    this.zygote.kill(this.id);
  }

  limitCpu(seconds: number): void {
    this.zygote.limitCpu(this.id, seconds);
  }

  private drain(): void {
    if (this.held) return;
    while (this.malformed === null) {
      let frame: { type: number; payload: Buffer } | null;
      try {
        frame = this.reader.next();
      } catch (error) {
        this.malformed = `the Sentry sent ${(error as Error).message}`;
        this.kill();
        this.socket.destroy();
        break;
      }
      if (frame === null) break;
      if (frame.type === FrameType.Ready) {
        this.ready = true;
        clearTimeout(this.readyTimer);
        this.changed(this);
        continue;
      }
      const promise = this.listener(frame.type, frame.payload);
      if (promise === undefined) continue;
      this.held = true;
      this.socket.pause();
      const resume = () => {
        this.held = false;
        this.socket.resume();
        this.drain();
      };
      promise.then(resume, resume);
      return;
    }
    this.settle();
  }

  private settle(): void {
    if (this.ended || this.held || !this.channelEnded) return;
    if (this.exit === null) {
      this.exitTimer ??= setTimeout(() => {
        this.exit ??= { exitCode: null, signal: null, cpuMs: 0, words: '', lost: 'its exit was not reported' };
        this.kill();
        this.settle();
      }, EXIT_REPORT_TIMEOUT_MS);
      return;
    }
    if (this.exitTimer !== null) clearTimeout(this.exitTimer);
    clearTimeout(this.readyTimer);
    this.ended = true;
    const { lost, exitCode, signal, words } = this.exit;
    this.lastDetail = [lost ?? (signal === null ? `exit code ${exitCode}` : `signal ${signal}`), words.trim()].join(
      ' ',
    );
    this.onEnded(this.malformed === null ? this.exit : { ...this.exit, lost: this.malformed });
    this.changed(this);
  }
}
