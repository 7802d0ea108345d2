import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

const require = createRequire(import.meta.url);

/** The pinned Node (platforms.md says why it is pinned), not the one that runs us. */
export function sentryNodePath(): string {
  const packaged = join(dirname(require.resolve('node/package.json')), 'bin', 'node');
  return existsSync(packaged) ? packaged : process.execPath;
}

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

/** The kernel's own state; guest memory is outside the JavaScript heap. A Sentry that needs more ends as `error`. */
const SENTRY_HEAP_MB = 256;
const UNCOLLECTED_HEAP_MB = 64;
const NODE_FLAGS = [
  '--single-threaded',
  '--disable-sigusr1',
  '--v8-pool-size=1',
  // Most guests are over before optimised code would have paid: compiling it halts the only thread for up to 10 ms a function. Maglev's is
  // nearly as fast (open+read+close 3,000 times: 18.0 -> 9.5 us each; after 50,000: 3.0 -> 3.5).
  '--no-turbofan',
  // Rehearsals are short, children too: what has run so often runs on.
  '--invocation-count-for-maglev=50',
  // Most guests end before the young generation of their Sentry is full: no collection (1 ms) at all.
  '--min-semi-space-size=4',
  '--expose-gc',
  // What a child calls first must not be compiled in each child, nor forgotten by the collections before the fork.
  '--no-lazy',
  '--no-flush-bytecode',
  // No full collection before the heap is so large: it would throw the code away that was compiled in rehearsals.
  `--initial-old-space-size=${UNCOLLECTED_HEAP_MB}`,
  `--max-old-space-size=${SENTRY_HEAP_MB}`,
];
const READY_TIMEOUT_MS = 30_000;
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
    private readonly events: ZygoteEvents,
  ) {
    const pair = new Int32Array(2);
    check(native.socketPair(pair), 'socketpair');
    const [ours, theirs] = pair;
    this.process = spawn(
      launcherPath(),
      [sentryNodePath(), ...NODE_FLAGS, fileURLToPath(import.meta.resolve('@cordon/app-sentry/zygote'))],
      {
        stdio: ['ignore', 'pipe', 'pipe', theirs],
        cwd: '/',
        // Nothing of the operator's environment reaches a Sentry.
        env: {
          PATH: '/usr/bin:/bin',
          LANG: 'C.UTF-8',
          TZ: 'UTC',
          UV_THREADPOOL_SIZE: '1',
          CORDON_SHIM: shimPath(),
          ...(config.without.includes('namespaces') ? { CORDON_NO_NAMESPACES: '1' } : {}),
        },
      },
    );
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
