import { EAGAIN, EBADMSG, EINVAL, EMFILE, ERRNO_NAMES, ESRCH } from '../../abi/errno.js';
import { inotifyInstances, MAX_INSTANCES } from '../../fs/anon/inotify.js';
import { inputFile, outputFile } from '../../fs/stdio/stdio.js';
import { newCredentials } from '../../kernel/credentials.js';
import { createIdleInit, spawn } from '../../kernel/first-process.js';
import type { Kernel } from '../../kernel/kernel.js';
import { initialRlimits } from '../../kernel/rlimits.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { Timer } from '../../kernel/types.js';
import { memoryEnvironment } from '../../mm/environment.js';
import type { Frames } from '../../mm/frames.js';
import { MemoryManager } from '../../mm/memory-manager.js';
import { NoSpace } from '../../mm/no-space.js';
import type { SocketCaller } from '../../net/socket.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { stackOf } from '../../syscalls/socket/support.js';
import { DescriptorTable } from '../../vfs/fd-table.js';
import { isDirectory, resolve, type Walker } from '../../vfs/path-walk.js';
import type { FsContext } from '../../vfs/types.js';
import { POLLOUT, WaitEntry } from '../../vfs/wait-queue.js';
import { type BootMessage, FrameType } from '../boot-message.js';
import type { FrameChannel } from '../channel.js';
import { findProgram } from '../find-program.js';
import { TerminalLink } from '../terminal.js';
import { FileError, type FileReply, SessionFiles } from './files.js';
import { OutputStream } from './output-stream.js';
import { SessionConnection } from './session-connection.js';
import type {
  ProcessEntry,
  ProcessRequest,
  SessionReply,
  SessionRequest,
  SessionUsage,
  StartRequest,
  WatchRequest,
} from './session-message.js';
import { SessionProcess } from './session-process.js';
import { SessionWatch } from './session-watch.js';

const MILLISECOND: Nanoseconds = 1e6;
/** Entries of one `processes` reply. */
const PROCESSES_MAX = 512;
const SIGNAL_MAX = 64;
const PORT_MAX = 65535;
/** Connections from outside at once. */
const CONNECTIONS_MAX = 1024;
const NOTHING = new Uint8Array(0);

export interface SessionHost {
  readonly kernel: Kernel;
  readonly frames: Frames;
  readonly channel: FrameChannel;
  readonly message: BootMessage;
  /** Queued bytes should leave soon; now. */
  dirty(): void;
  flush(): void;
  /** Audit records that are held back go to the channel. */
  flushAudit(): void;
}

/**
 * A sandbox that lives on: answers the supervisor's requests. Everything happens in the kernel's one thread, between two
 * traps; nothing here waits.
 */
export class Session {
  private readonly processes = new Map<number, SessionProcess>();
  private readonly connections = new Map<
    number,
    { connection: SessionConnection | SessionWatch; output: OutputStream }
  >();
  /** Connections and watches that have something to move, and when. */
  private readonly moving = new Set<SessionConnection | SessionWatch>();
  private readonly moveTimer: Timer;
  private readonly files: SessionFiles;
  private readonly rootFiles: SessionFiles;
  private readonly startedAt: Nanoseconds;

  constructor(private readonly host: SessionHost) {
    const { kernel, frames, message, channel } = host;
    this.startedAt = kernel.clock.monotonic();
    this.moveTimer = kernel.createTimer(() => this.move());
    const walker = this.walker(message.uid, message.gid);
    this.files = new SessionFiles(walker);
    this.rootFiles = new SessionFiles(this.walker(0, 0));
    const environment = memoryEnvironment(kernel.platform, frames, (bytes) => kernel.random(bytes));
    const memory = new MemoryManager(environment, undefined, undefined, new NoSpace());
    const { fs, credentials } = this.walker(0, 0);
    createIdleInit(
      kernel,
      { fs, files: new DescriptorTable(), credentials, rlimits: initialRlimits(message.limits) },
      memory,
    );
    const room = new WaitEntry({
      onWake: () => {
        for (const { output } of this.processes.values()) output.wake();
        for (const { output } of this.connections.values()) output.wake();
      },
    });
    channel.writable.add(room, POLLOUT);
  }

  private walker(uid: number, gid: number): Walker & { fs: FsContext } {
    const root = this.host.kernel.rootMount.root;
    const place = { mount: this.host.kernel.rootMount, dentry: root };
    return {
      fs: { root: place, cwd: place, umask: 0o022, references: 1 },
      credentials: newCredentials(uid, gid, [gid]),
      // Nothing that takes bytes from a BufferIo looks at guest memory.
      memory: null as never,
      umask: 0o022,
      fileSizeLimit: this.host.message.limits.fileBytes,
    };
  }

  /** A Request frame. */
  receive(payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const id = view.getUint32(0, true);
    const length = view.getUint32(4, true);
    const request = JSON.parse(Buffer.from(payload.subarray(8, 8 + length)).toString('utf8')) as SessionRequest;
    try {
      this.handle(id, request, payload.subarray(8 + length));
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      this.reply(id, { error: nameOf(error.errno) });
    }
    this.host.flush();
  }

  /** A Credit frame. */
  credit(payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const id = view.getUint32(0, true);
    const { output } = this.processes.get(id) ?? this.connections.get(id) ?? {};
    output?.credit(view.getUint32(4, true));
  }

  private handle(id: number, request: SessionRequest, payload: Uint8Array): void {
    switch (request.op) {
      case 'start':
        this.reply(id, this.start(id, request));
        break;
      case 'connect':
        this.reply(id, this.connect(id, request.port));
        break;
      case 'watch':
        this.reply(id, this.watch(id, request));
        break;
      case 'stdin':
      case 'close':
      case 'signal':
      case 'resize':
        this.control(id, request, payload);
        break;
      case 'processes':
        this.reply(id, { processes: this.list() });
        break;
      case 'usage':
        // What connections and watches have to say goes first: who asks may take it that he has heard of all there was.
        this.move();
        this.reply(id, { usage: this.usage() });
        break;
      case 'flush':
        this.host.flushAudit();
        this.reply(id, {});
        break;
      default: {
        const files = request.root ? this.rootFiles : this.files;
        const done: FileReply = files.handle(request, payload);
        this.reply(id, done.reply, done.bytes);
      }
    }
  }

  private start(id: number, request: StartRequest): SessionReply {
    const { kernel, channel, message } = this.host;
    const { uid, gid } = request;
    const walker = this.walker(uid, gid);
    const cwd = resolve(walker, null, toBytes(request.cwd), true);
    if (typeof cwd === 'number') return { error: nameOf(-cwd) };
    if (!isDirectory(cwd.inode)) return { error: 'ENOTDIR' };
    walker.fs.cwd = cwd;
    const argv = request.argv.map(toBytes);
    const envp = request.env.map(toBytes);
    const output = new OutputStream(
      id,
      channel,
      () => this.host.dirty(),
      () => this.closed(process),
    );
    const process = new SessionProcess(id, request.argv, output, kernel.clock.monotonic());
    const files = this.descriptors(process, request);
    const task = spawn(kernel, {
      fileName: findProgram(walker, argv[0], envp),
      argv,
      envp,
      fs: walker.fs,
      files,
      credentials: walker.credentials,
      rlimits: initialRlimits(message.limits),
    });
    if (typeof task === 'number') {
      files.release();
      return { error: nameOf(-task) };
    }
    process.terminal?.control(task.group);
    this.processes.set(id, process);
    process.started(
      task.group,
      () => kernel.clock.monotonic(),
      (exit) => {
        this.send(FrameType.Exit, id, Buffer.from(JSON.stringify(exit)));
        this.closed(process);
        this.host.flush();
        // Now that nobody waits.
        kernel.platform.reserve?.();
      },
    );
    if (request.timeoutMs !== null) {
      process.timer = kernel.createTimer(() => process.timeOut());
      process.timer.set(kernel.clock.monotonic() + request.timeoutMs * MILLISECOND);
    }
    return { pid: task.group.pid };
  }

  private descriptors(process: SessionProcess, request: StartRequest): DescriptorTable {
    const { kernel } = this.host;
    const { uid, gid, terminal } = request;
    const files = new DescriptorTable();
    if (terminal) {
      process.terminal = new TerminalLink();
      process.terminal.open(kernel, terminal, uid, process.output.stdout, files);
      return files;
    }
    const owner = { uid, gid };
    files.installAt(0, inputFile(kernel.nextObjectId(), owner, process.stdin), false);
    files.installAt(1, outputFile(kernel.nextObjectId(), owner, process.output.stdout), false);
    files.installAt(2, outputFile(kernel.nextObjectId(), owner, process.output.stderr), false);
    if (!request.stdin) process.stdin.end();
    return files;
  }

  /** Over when the process has exited and nobody holds its output open. */
  private closed(process: SessionProcess): void {
    if (!process.exited || process.output.open) return;
    if (!this.processes.delete(process.id)) return;
    this.send(FrameType.Closed, process.id, NOTHING);
    this.host.dirty();
  }

  private connect(id: number, port: number): SessionReply {
    if (!Number.isInteger(port) || port < 1 || port > PORT_MAX) throw new FileError(EINVAL);
    const caller: SocketCaller = { ...this.walker(0, 0), group: { pid: 1 } };
    const stack = stackOf(this.host.kernel);
    return this.open(id, (output, soon, over) => SessionConnection.open(stack, port, caller, output, soon, over));
  }

  private watch(id: number, { path, recursive, root }: WatchRequest): SessionReply {
    if (inotifyInstances() >= MAX_INSTANCES) throw new FileError(EMFILE);
    const { uid, gid } = this.host.message;
    const walker = root ? this.walker(0, 0) : this.walker(uid, gid);
    const place = toBytes(path).replace(/\/+$/, '') || '/';
    return this.open(id, (output, soon, over) => SessionWatch.open(walker, place, recursive, output, soon, over));
  }

  /** A stream that is no program's. `make` gives it, or -errno. */
  private open<Stream extends SessionConnection | SessionWatch>(
    id: number,
    make: (output: OutputStream, soon: (stream: Stream) => void, over: () => void) => Stream | number,
  ): SessionReply {
    if (this.connections.size >= CONNECTIONS_MAX) throw new FileError(EAGAIN);
    const dirty = (): void => this.host.dirty();
    const output = new OutputStream(id, this.host.channel, dirty, () => undefined);
    const soon = (connection: Stream): void => {
      this.moving.add(connection);
      this.moveTimer.set(this.host.kernel.clock.monotonic());
    };
    const over = (): void => {
      this.connections.delete(id);
      this.send(FrameType.Closed, id, NOTHING);
      dirty();
    };
    const connection = make(output, soon, over);
    if (typeof connection === 'number') return { error: nameOf(-connection) };
    this.connections.set(id, { connection, output });
    soon(connection);
    return {};
  }

  private move(): void {
    const moving = [...this.moving];
    this.moving.clear();
    for (const connection of moving) connection.pump();
  }

  private control(id: number, request: ProcessRequest, payload: Uint8Array): void {
    const { connection } = this.connections.get(request.process) ?? {};
    if (connection) {
      this.controlConnection(id, connection, request, payload);
      return;
    }
    const process = this.processes.get(request.process);
    if (!process || process.exited) throw new FileError(ESRCH);
    switch (request.op) {
      case 'stdin':
        process.input(payload, () => {
          this.reply(id, {});
          this.host.dirty();
        });
        break;
      case 'signal':
        if (!Number.isInteger(request.signal) || request.signal < 1 || request.signal > SIGNAL_MAX)
          throw new FileError(EINVAL);
        process.signal(request.signal);
        this.reply(id, {});
        break;
      case 'resize':
        process.terminal?.resize(request);
        this.reply(id, process.terminal ? {} : { error: 'ENOTTY' });
        break;
      default:
        throw new FileError(EBADMSG);
    }
  }

  private controlConnection(
    id: number,
    connection: SessionConnection | SessionWatch,
    request: ProcessRequest,
    payload: Uint8Array,
  ): void {
    const done = (): void => {
      this.reply(id, {});
      this.host.dirty();
    };
    if (request.op === 'stdin' && connection instanceof SessionConnection) connection.input(payload, done);
    else if (request.op === 'close') {
      connection.close();
      done();
    } else throw new FileError(EINVAL);
  }

  private list(): ProcessEntry[] {
    const { kernel } = this.host;
    const started = new Map([...this.processes.values()].map((process) => [process.group, process]));
    const entries: ProcessEntry[] = [];
    for (const group of kernel.groups.values()) {
      if (group === kernel.init || group.state === 'dead') continue;
      if (entries.length === PROCESSES_MAX) break;
      entries.push(describe(group, started.get(group)));
    }
    return entries;
  }

  private usage(): SessionUsage {
    const { kernel, frames } = this.host;
    return {
      wallMs: (kernel.clock.monotonic() - this.startedAt) / MILLISECOND,
      cpuMs: kernel.platform.cpuTime() / MILLISECOND,
      memoryBytes: frames.committed,
      memoryPeakBytes: frames.peak,
      processes: kernel.liveTasks,
      syscalls: kernel.syscallCount,
    };
  }

  private reply(id: number, reply: SessionReply, bytes: Uint8Array = NOTHING): void {
    const json = Buffer.from(JSON.stringify(reply), 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32LE(json.length);
    this.send(FrameType.Reply, id, Buffer.concat([length, json, bytes]));
  }

  private send(
    type: typeof FrameType.Reply | typeof FrameType.Exit | typeof FrameType.Closed,
    id: number,
    rest: Uint8Array,
  ): void {
    const payload = new Uint8Array(4 + rest.length);
    new DataView(payload.buffer).setUint32(0, id, true);
    payload.set(rest, 4);
    this.host.channel.send(type, payload, 0, payload.length);
  }
}

function describe(group: ThreadGroup, process: SessionProcess | undefined): ProcessEntry {
  const { leader } = group;
  const zombie = group.state === 'zombie';
  return {
    pid: group.pid,
    parent: group.parent?.pid ?? 0,
    name: Buffer.from(leader.comm, 'latin1').toString('utf8'),
    state: zombie ? 'zombie' : group.state === 'stopped' ? 'stopped' : 'running',
    uid: leader.credentials.uid,
    cpuMs: group.userTime() / MILLISECOND,
    residentBytes: zombie ? 0 : leader.memory.residentSize(),
    stream: process?.id ?? null,
    command: process?.argv ?? null,
  };
}

function nameOf(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
