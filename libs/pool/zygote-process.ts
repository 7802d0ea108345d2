import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import {
  decodeReport,
  REPORT_HEADER_BYTES,
  type Report,
  ZYGOTE_REQUEST_BYTES,
  type ZygoteConfig,
  type ZygoteReady,
  ZygoteReport,
  ZygoteRequest,
} from '@cordon/sentry/boot/zygote-message';
import { host } from '@cordon/sentry/platform/host';
import { launcherPath, shimPath } from '@cordon/sentry/platform/native/index';
import { check, zygoteNative as native } from '@cordon/sentry/platform/zygote.unsafe';
import { nodeFlags, type SentryProgram, sentryNodePath } from './sentry-program.js';

/** Told by a zygote about one of its children. */
export interface ChildListener {
  forked(pid: number): void;
  /** The process is gone. signal/status as of wait(2); `words` is what it wrote to its standard error. */
  exited(exit: ChildExit): void;
}

export interface ChildExit {
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly cpuMs: number;
  readonly words: string;
  /** Set when the zygote went away (or could not fork) and nothing more is known. */
  readonly lost: string | null;
}

export interface ZygoteEvents {
  ready(ready: ZygoteReady): void;
  /** The process is gone, whatever the reason. All children have been reported before. */
  closed(detail: string): void;
  log(line: string): void;
}

const READY_TIMEOUT_MS = 60_000;
const LINES_KEPT = 20;
const CLOSE_GRACE_MS = 2_000;

/** One zygote as the pool sees it: spawned, asked to fork, told of its children's ends, closed. */
export class ZygoteProcess {
  readonly bornAt = Date.now();
  /** The same in CLOCK_MONOTONIC, ns. */
  readonly askedAt = host.now();
  forks = 0;
  /** Set by the pool: it forks no more and is closed with its last child. */
  retired = false;
  /** Set when it answered Ready and nothing ended it yet. */
  ready: ZygoteReady | null = null;
  /** Guests it was told to run before its first fork. */
  readonly rehearsals: number;
  private readonly process: ChildProcess;
  private readonly control: Socket;
  private readonly controlFd: number;
  private readonly listeners = new Map<number, ChildListener>();
  private readonly lastLines: string[] = [];
  private nextId = 1;
  private pending: Buffer = Buffer.alloc(0);
  private closing = false;
  private closed = false;
  private readonly gone: Promise<void>;
  private readonly readyTimer: NodeJS.Timeout;

  constructor(
    config: ZygoteConfig,
    program: SentryProgram,
    private readonly events: ZygoteEvents,
  ) {
    this.rehearsals = config.rehearsals;
    const pair = new Int32Array(2);
    check(native.socketPair(pair), 'socketpair');
    const [ours, theirs] = pair;
    this.process = spawn(launcherPath(), [sentryNodePath(), ...nodeFlags(config.rehearsals), program.main], {
      stdio: ['ignore', 'pipe', 'pipe', theirs],
      cwd: '/',
      // Nothing of the operator's environment reaches a Sentry.
      env: {
        PATH: '/usr/bin:/bin',
        LANG: 'C.UTF-8',
        TZ: 'UTC',
        UV_THREADPOOL_SIZE: '1',
        CORDON_SHIM: shimPath(),
        ...(program.compileCache === null ? {} : { NODE_COMPILE_CACHE: program.compileCache }),
        ...(config.without.includes('namespaces') ? { CORDON_NO_NAMESPACES: '1' } : {}),
      },
    });
    native.closeDescriptor(theirs);
    this.controlFd = ours;
    this.control = new Socket({ fd: ours, readable: true, writable: true });
    this.control.on('data', (chunk: Buffer) => this.receive(chunk));
    this.control.on('error', () => {}); // the close that follows says it
    // The zygote is gone or going. The launcher's end, after its last words, is the end of all of it.
    this.control.on('close', () => {
      if (!this.closing) setTimeout(() => this.process.kill('SIGKILL'), CLOSE_GRACE_MS).unref();
    });
    const header = Buffer.alloc(4);
    const body = Buffer.from(JSON.stringify(config), 'utf8');
    header.writeUInt32LE(body.length);
    this.control.write(Buffer.concat([header, body]));

    for (const stream of [this.process.stdout, this.process.stderr]) {
      let rest = '';
      stream?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = (lines.pop() ?? '').slice(-4096);
        for (const line of lines) {
          if (line.trim() !== '' && this.lastLines.push(line) > LINES_KEPT) this.lastLines.shift();
          events.log(`zygote: ${line}`);
        }
      });
    }
    this.gone = new Promise((resolve) => {
      this.process.once('error', (error) => {
        this.end(error.message);
        resolve();
      });
      this.process.once('close', (code, signal) => {
        this.end(signal === null ? `it exited with ${code}` : `it was killed by ${signal}`);
        resolve();
      });
    });
    this.readyTimer = setTimeout(() => {
      events.log('zygote: not ready in time, killed');
      this.process.kill('SIGKILL');
    }, READY_TIMEOUT_MS);
    this.readyTimer.unref();
  }

  /** Host process id of the launcher: killing it kills the zygote and all its children. */
  get pid(): number {
    return this.process.pid ?? -1;
  }

  /** Children that have not been reported as ended. */
  get children(): number {
    return this.listeners.size;
  }

  /** Forks a child onto `channel` (its end of a socket pair, closed here). Returns its id; all news goes to `listener`. */
  fork(channel: number, cpu: number, listener: ChildListener): number {
    const id = this.nextId++;
    this.listeners.set(id, listener);
    this.forks++;
    const sent = this.request(ZygoteRequest.Fork, id, cpu, channel);
    native.closeDescriptor(channel);
    if (!sent) queueMicrotask(() => this.lose(id, 'the zygote does not answer'));
    return id;
  }

  /** SIGKILLs a child; its end is reported as always. */
  kill(id: number): void {
    if (this.listeners.has(id)) this.request(ZygoteRequest.Kill, id, 0, -1);
  }

  limitCpu(id: number, seconds: number): void {
    if (this.listeners.has(id)) this.request(ZygoteRequest.LimitCpu, id, seconds, -1);
  }

  /** Ends the zygote and all its children; resolves when no process is left. */
  async close(): Promise<void> {
    this.retired = true;
    this.closing = true;
    this.control.destroy();
    const timer = setTimeout(() => this.process.kill('SIGKILL'), CLOSE_GRACE_MS);
    await this.gone;
    clearTimeout(timer);
  }

  private request(operation: number, id: number, argument: number, fd: number): boolean {
    if (this.closed || this.closing || this.control.destroyed) return false;
    const words = Int32Array.of(operation, id, argument);
    const sent = native.sendWithDescriptor(this.controlFd, new Uint8Array(words.buffer), fd);
    if (sent === ZYGOTE_REQUEST_BYTES) return true;
    // The socket is full or dead: a zygote that does not read its requests is of no use.
    this.events.log(`zygote: request not taken (${sent}), killed`);
    this.process.kill('SIGKILL');
    return false;
  }

  private receive(chunk: Buffer): void {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    while (this.pending.length >= REPORT_HEADER_BYTES) {
      const length = this.pending.readUInt32LE(0) + 4;
      if (this.pending.length < length) return;
      const report = decodeReport(this.pending.subarray(0, length));
      this.pending = this.pending.subarray(length);
      this.dispatch(report);
    }
  }

  private dispatch(report: Report): void {
    if (report.type === ZygoteReport.Ready) {
      clearTimeout(this.readyTimer);
      this.ready = JSON.parse(report.text) as ZygoteReady;
      this.events.ready(this.ready);
      return;
    }
    const listener = this.listeners.get(report.id);
    if (listener === undefined) return;
    if (report.type === ZygoteReport.Forked) {
      listener.forked(report.pid);
      return;
    }
    if (report.type === ZygoteReport.ForkFailed) {
      this.lose(report.id, report.text);
      return;
    }
    this.listeners.delete(report.id);
    const signal = report.status & 0x7f;
    listener.exited({
      exitCode: signal === 0 ? (report.status >> 8) & 0xff : null,
      signal: signal === 0 ? null : signal,
      cpuMs: report.cpuMs,
      words: report.text,
      lost: null,
    });
  }

  private lose(id: number, why: string): void {
    const listener = this.listeners.get(id);
    this.listeners.delete(id);
    listener?.exited({ exitCode: null, signal: null, cpuMs: 0, words: '', lost: why });
  }

  private end(detail: string): void {
    if (this.closed) return;
    this.closed = true;
    this.ready = null;
    const said = this.lastLines.find((line) => line.includes('Error')) ?? this.lastLines.at(-1);
    if (said !== undefined) detail += ` (${said.trim()})`;
    clearTimeout(this.readyTimer);
    this.control.destroy();
    for (const id of [...this.listeners.keys()]) this.lose(id, `the zygote ended: ${detail}`);
    this.events.closed(detail);
  }
}
