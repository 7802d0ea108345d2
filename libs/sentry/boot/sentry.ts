import { readFileSync } from 'node:fs';
import { ENOENT, ERRNO_NAMES } from '../abi/errno.js';
import { SYSCALL_NAMES } from '../abi/syscall-numbers.js';
import { AuditRecorder } from '../audit/recorder.js';
import type { KnownNames } from '../fs/overlay/image-directory.js';
import { closeImageFiles } from '../fs/overlay/image-file.js';
import { inputFile, outputFile, StdioSource } from '../fs/stdio/stdio.js';
import { newCredentials } from '../kernel/credentials.js';
import { createInit } from '../kernel/first-process.js';
import { Kernel } from '../kernel/kernel.js';
import { createProgramLoader, parseHostAuxv } from '../kernel/loader/load-program.js';
import { initialRlimits } from '../kernel/rlimits.js';
import { signalInfo } from '../kernel/signals/pending.js';
import { Frames } from '../mm/frames.js';
import { createPlatform, type PlatformName, type StartablePlatform } from '../platform/choose.js';
import { host } from '../platform/host.js';
import { HostMemoryFile } from '../platform/memory-file.js';
import type { HostFd, Nanoseconds } from '../platform/platform.js';
import { VDSO_LIBRARY } from '../platform/vdso-library.js';
import { HANDLERS, ROW_BY_NUMBER } from '../syscalls/table.js';
import { DescriptorTable } from '../vfs/fd-table.js';
import type { Caller, FsContext } from '../vfs/types.js';
import { POLLIN, POLLOUT } from '../vfs/wait-queue.js';
import {
  type BootMessage,
  type EndReason,
  type EndReport,
  FrameType,
  type IdleReport,
  type ImageSpec,
} from './boot-message.js';
import { FrameChannel } from './channel.js';
import { compileHotCode, HOT_IN_CHILD } from './compilation.js';
import { EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, endReport, loadFailure, type RunFacts } from './end-report.js';
import { FileTree } from './file-tree.js';
import { findProgram } from './find-program.js';
import { HeapWatch } from './heap-watch.js';
import { Marks } from './marks.js';
import { Output } from './output.js';
import { Profiler } from './profiler.js';
import { mountPseudoFileSystems } from './pseudo-mounts.js';
import { Session } from './session/session.js';
import { TerminalLink } from './terminal.js';

const MILLISECOND: Nanoseconds = 1e6;
/** Output waits this long for more, so that many small writes leave in one go. */
const FLUSH_DELAY: Nanoseconds = 0.5 * MILLISECOND;
/** Audit records leave at least this often while calls are made, and are looked for so often while none are. */
const AUDIT_FLUSH: Nanoseconds = 100 * MILLISECOND;
const AUDIT_IDLE: Nanoseconds = 500 * MILLISECOND;
const AUDIT_IDLE_MOST: Nanoseconds = 30_000 * MILLISECOND;
/** Batches of so many bytes leave by a write of their own, uncopied. */
const AUDIT_IN_PLACE = 16 * 1024;
/** Guests that live so long gain from code that their Sentry compiles itself. */
const COMPILE_AFTER: Nanoseconds = 100 * MILLISECOND;
/** How often it is told that a guest waits for input, as long as it does. */
const IDLE_TOLD: Nanoseconds = 500 * MILLISECOND;
/** Queued bytes that leave at once. */
const FLUSH_BYTES = 32 * 1024;
const SI_USER = 0;

interface Boot {
  readonly message: BootMessage;
  /** Contents of `message.files`, one after the other. */
  readonly contents: Uint8Array;
}

/**
 * The Sentry's life. Constructed and warmed in the zygote; `prepare` and `run` in the forked child: wait for the boot message,
 * build the guest, run it to its end, report.
 */
export class Sentry {
  private readonly memory = new HostMemoryFile();
  private platform!: StartablePlatform;
  private readonly frames = new Frames(this.memory);
  private readonly tree = new FileTree(this.frames);
  private readonly channel = new FrameChannel();
  private readonly output = new Output(this.channel);
  private readonly stdin = new StdioSource();
  private readonly loadProgram = createProgramLoader(
    this.frames,
    parseHostAuxv(readFileSync('/proc/self/auxv')),
    VDSO_LIBRARY,
  );
  private readonly kernel = new Kernel({ handlers: HANDLERS, loadProgram: this.loadProgram });
  private readonly terminal = new TerminalLink();
  private readonly marks = new Marks();
  private boot: Boot | null = null;
  private session: Session | null = null;
  /** Frames for a session that came together with its boot message. */
  private readonly early: { type: number; payload: Uint8Array }[] = [];
  private auditSoon: () => void = () => {};

  /**
   * In the zygote, while the host's files are still reachable. `platform`: as `choosePlatform` found. `known`: what guests of the same
   * image have looked up (`knownNames` of another Sentry). `kvmExitless`: see ZygoteConfig.
   */
  warm(image: ImageSpec, platform: string, known: readonly KnownNames[] = [], kvmExitless = false): void {
    this.platform = createPlatform(platform as PlatformName, this.memory, kvmExitless);
    this.tree.addImage(image);
    this.tree.recall(known);
  }

  knownNames(): KnownNames[] {
    return this.tree.known();
  }

  /** In the zygote, after a rehearsal: gives up the files of the image that it holds open. */
  retire(): void {
    closeImageFiles();
  }

  /** In the child, before its request is known. */
  prepare(channelFd: HostFd, pinCpu: number): void {
    this.marks.set('confined');
    if (pinCpu >= 0) host.pin(pinCpu);
    this.memory.attach();
    this.platform.start();
    this.platform.reserve?.();
    host.setNonBlocking(channelFd);
    this.channel.attach(channelFd);
    this.channelFd = channelFd;
  }

  private channelFd: HostFd = -1;

  /** The rest of the child's life. Returns its exit code. */
  run(): number {
    this.marks.set('ready');
    while (this.boot === null) {
      if (!this.channel.waitAndReceive(this.receive)) return 0;
    }
    const { message } = this.boot;
    const report = this.runGuest(this.boot);
    this.marks.set('ended');
    this.send(FrameType.End, JSON.stringify(message.marks ? { ...report, marks: this.marks.report() } : report));
    this.channel.drain();
    this.platform.shutdown();
    return 0;
  }

  private runGuest({ message, contents }: Boot): EndReport {
    const { kernel, frames, platform, channel, marks } = this;
    const { limits } = message;
    marks.set('booted');
    const profiler = message.profile ? new Profiler(platform) : null;
    const heap = message.watchHeap ? new HeapWatch(platform) : null;
    const startedAt = platform.now();
    frames.limit = limits.memoryBytes;
    this.placeFiles(message, contents);
    const recorder = this.createRecorder(message, startedAt);
    kernel.attach({
      platform,
      frames,
      observer: recorder,
      hostClock: (clock, out) => host.clockTime(clock, out),
      random: (bytes) => host.random(bytes),
      log: (line) => this.send(FrameType.Log, line),
      rootMount: this.tree.mounts.root,
      mounts: this.tree.mounts.mounts,
      hostname: message.hostname,
      domainname: '(none)',
      cpus: message.cpus,
      network: message.network,
      // The life of a session may be prolonged: its supervisor ends it.
      wallTime: message.session ? Number.POSITIVE_INFINITY : limits.wallTimeMs * MILLISECOND,
      cpuTime: limits.cpuTimeMs * MILLISECOND,
      tasks: limits.processes,
    });
    kernel.createTimer(() => compileHotCode(HOT_IN_CHILD), true).set(startedAt + COMPILE_AFTER);
    mountPseudoFileSystems(kernel, this.tree);
    if (message.tellIdle) this.watchIdleness();
    this.connectOutput(limits.outputBytes);
    if (recorder) this.flushRegularly(recorder, message.session ? AUDIT_IDLE_MOST : AUDIT_IDLE);
    platform.watch(this.channelFd, POLLIN, this.channelReady);
    const facts = (): RunFacts => ({
      kernel,
      startedAt,
      now: platform.now(),
      cpuTime: platform.cpuTime(),
      auditTruncated: recorder?.truncated ?? false,
    });
    profiler?.observe(kernel);
    if (message.marks) marks.watch(this.output);
    marks.set('built');
    const failure = message.session ? this.openSession(message, recorder) : this.start(message);
    if (failure) return loadFailure(facts(), failure.exitCode, failure.detail);
    marks.set('loaded');
    channel.send(FrameType.Started, EMPTY, 0, 0);
    channel.flush();
    kernel.run();
    recorder?.flush();
    const report = endReport(facts());
    return { ...report, ...(profiler && { profile: profiler.finish() }), ...(heap && { heap: heap.finish() }) };
  }

  /** No first process: requests start them. */
  private openSession(message: BootMessage, recorder: AuditRecorder | null): null {
    const { kernel, frames, channel } = this;
    this.session = new Session({
      kernel,
      frames,
      channel,
      message,
      dirty: () => this.output.onDirty(),
      flush: () => {
        if (!channel.flush()) this.watchForRoom();
      },
      flushAudit: () => recorder?.flush(),
    });
    for (const { type, payload } of this.early) this.receiveForSession(type, payload);
    return null;
  }

  /** Makes the first process; null, or why not. */
  private start(message: BootMessage): { exitCode: number; detail: string } | null {
    const root = this.tree.mounts.root.root;
    const cwd = this.tree.mounts.find(message.cwd);
    const fs: FsContext = { root, cwd, umask: 0o022, references: 1 };
    const credentials = newCredentials(message.uid, message.gid, [message.gid]);
    const caller: Caller & { fs: FsContext } = {
      fs,
      credentials,
      memory: null as never,
      umask: fs.umask,
      fileSizeLimit: Number.POSITIVE_INFINITY,
    };
    const argv = message.argv.map(toBytes);
    const envp = message.env.map(toBytes);
    const fileName = findProgram(caller, argv[0], envp);
    const files = new DescriptorTable();
    const owner = { uid: message.uid, gid: message.gid };
    const { kernel } = this;
    if (message.terminal) {
      this.terminal.open(kernel, message.terminal, message.uid, this.output.stdout, files);
    } else {
      files.installAt(0, inputFile(kernel.nextObjectId(), owner, this.stdin), false);
      files.installAt(1, outputFile(kernel.nextObjectId(), owner, this.output.stdout), false);
      files.installAt(2, outputFile(kernel.nextObjectId(), owner, this.output.stderr), false);
      if (message.stdin === 'empty') this.stdin.end();
    }
    const rlimits = initialRlimits(message.limits);
    const task = createInit(kernel, { fileName, argv, envp, fs, files, credentials, rlimits });
    if (typeof task !== 'number') {
      if (message.terminal) this.terminal.control(task.group);
      return null;
    }
    const exitCode = task === -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    return { exitCode, detail: `${message.argv[0]}: ${ERRNO_NAMES[-task] ?? `errno ${-task}`}` };
  }

  private placeFiles(message: BootMessage, contents: Uint8Array): void {
    const { uid, gid, cwd } = message;
    const work = this.tree.directory(cwd, 0o755, uid, gid);
    if (cwd === '/work') {
      work.uid = uid;
      work.gid = gid;
    }
    let at = 0;
    for (const { path, mode, size } of message.files) {
      const absolute = toBytes(path.startsWith('/') ? path : `${cwd}/${path}`);
      this.tree.file(absolute, contents.slice(at, at + size), mode, uid, gid);
      at += size;
    }
  }

  private createRecorder(message: BootMessage, startedAt: Nanoseconds): AuditRecorder | null {
    if (message.auditLevel === 'off') return null;
    return new AuditRecorder({
      level: message.auditLevel,
      auditBytes: message.limits.auditBytes,
      startedAt,
      now: () => this.platform.now(),
      calls: ROW_BY_NUMBER,
      names: SYSCALL_NAMES,
      flush: message.dropAudit ? () => {} : (bytes) => this.sendAudit(bytes),
    });
  }

  /** Small batches go along with what comes next. */
  private sendAudit(bytes: Uint8Array): void {
    const { channel } = this;
    if (bytes.length < AUDIT_IN_PLACE) {
      channel.send(FrameType.Audit, bytes, 0, bytes.length);
      return;
    }
    channel.sendInPlace(FrameType.Audit, bytes);
    if (channel.pendingBytes > 0) this.watchForRoom();
  }

  /** Records leave while the guest runs; an idle guest costs two looks a second, an idle session ever fewer. */
  private flushRegularly(recorder: AuditRecorder, most: Nanoseconds): void {
    const { kernel, channel } = this;
    let seen = 0;
    let idle = AUDIT_IDLE;
    const timer = kernel.createTimer((now) => {
      const busy = kernel.syscallCount !== seen;
      seen = kernel.syscallCount;
      if (busy) {
        recorder.flush();
        if (!channel.flush()) this.watchForRoom();
      }
      idle = busy ? AUDIT_IDLE : Math.min(idle * 2, most);
      timer.set(now + (busy ? AUDIT_FLUSH : idle));
    }, true);
    this.auditSoon = () => timer.set(this.platform.now() + AUDIT_FLUSH);
    this.auditSoon();
  }

  // Output

  private connectOutput(limit: number): void {
    const { kernel, channel, output } = this;
    const timer = kernel.createTimer(() => {
      if (!channel.flush()) this.watchForRoom();
    }, true);
    output.limit(limit);
    output.onExceeded = () => kernel.end('output_exceeded');
    output.onDirty = () => {
      if (channel.pendingBytes >= FLUSH_BYTES) {
        if (!channel.flush()) this.watchForRoom();
      } else if (timer.deadline === Number.POSITIVE_INFINITY) {
        timer.set(this.platform.now() + FLUSH_DELAY);
      }
    };
  }

  /** The supervisor does not keep up: go on when it does. */
  private watchForRoom(): void {
    this.platform.watch(this.channelFd, POLLIN | POLLOUT, this.channelReady);
  }

  private readonly channelReady = (events: number): void => {
    if (events & POLLOUT && this.channel.flush()) this.platform.watch(this.channelFd, POLLIN, this.channelReady);
    if (events & ~POLLOUT && !this.channel.receive(this.receive)) this.kernel.end('canceled', 'the supervisor is gone');
  };

  /** Bytes of stdin that came, and how many had when it was last said that nothing else can wake the guest. */
  private received = 0;
  private idleSaidAt = -1;

  private watchIdleness(): void {
    const { kernel, platform, stdin } = this;
    kernel.onIdle = () => this.tellStuck();
    const timer = kernel.createTimer((now) => {
      if (!stdin.queue.empty && stdin.available === 0 && !stdin.ended) this.tellIdle(false);
      timer.set(now + IDLE_TOLD);
    }, true);
    timer.set(platform.now() + IDLE_TOLD);
  }

  private tellStuck(): void {
    if (this.idleSaidAt === this.received || !this.kernel.stuck) return;
    // What the guest printed goes first; one that waited for room to print goes on.
    if (!this.channel.flush()) this.watchForRoom();
    else if (this.kernel.stuck) {
      this.idleSaidAt = this.received;
      this.tellIdle(true);
    }
  }

  private tellIdle(stuck: boolean): void {
    const { received } = this;
    const report: IdleReport = { received, stuck, cpuMs: this.platform.cpuTime() / MILLISECOND };
    this.send(FrameType.Idle, JSON.stringify(report));
    if (!this.channel.flush()) this.watchForRoom();
  }

  private send(type: typeof FrameType.End | typeof FrameType.Log | typeof FrameType.Idle, text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.channel.send(type, bytes, 0, bytes.length);
  }

  // Input

  private readonly receive = (type: number, payload: Uint8Array, offset: number, length: number): void => {
    switch (type) {
      case FrameType.Boot:
        this.boot = parseBoot(payload.slice(offset, offset + length));
        break;
      case FrameType.Stdin:
        this.receiveInput(payload.subarray(offset, offset + length));
        break;
      case FrameType.Resize:
        this.terminal.resize(parse(payload, offset, length));
        break;
      case FrameType.Request:
      case FrameType.Credit:
        this.receiveForSession(type, payload.subarray(offset, offset + length));
        break;
      case FrameType.Kill:
        this.kernel.end((parse(payload, offset, length) as { reason: EndReason }).reason);
        break;
      case FrameType.Signal:
        this.signal((parse(payload, offset, length) as { signal: number }).signal);
        break;
    }
  };

  private receiveForSession(type: number, payload: Uint8Array): void {
    if (!this.session) this.early.push({ type, payload: payload.slice() });
    else if (type === FrameType.Credit) this.session.credit(payload);
    else {
      this.session.receive(payload);
      this.auditSoon();
    }
  }

  /** Empty: the end of the input. */
  private receiveInput(bytes: Uint8Array): void {
    this.received += bytes.length;
    if (this.boot?.message.terminal) this.terminal.input(bytes);
    else if (bytes.length === 0) this.stdin.end();
    else this.stdin.push(bytes);
  }

  /** A signal from outside goes to the terminal's foreground group, or to the first process. */
  private signal(signal: number): void {
    if (!Number.isInteger(signal) || signal <= 0 || signal > 64) return;
    if (this.terminal.signal(signal)) return;
    this.kernel.init?.sendSignal(signalInfo(signal, SI_USER));
  }
}

const EMPTY = new Uint8Array(0);

/** UTF-8 text from outside as the byte string the kernel works with. */
function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function parse(payload: Uint8Array, offset: number, length: number): unknown {
  return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset + offset, length).toString('utf8'));
}

/** u32 length of the JSON, the JSON, then the files. */
function parseBoot(payload: Uint8Array): Boot {
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  return { message: parse(payload, 4, length) as BootMessage, contents: payload.subarray(4 + length) };
}
