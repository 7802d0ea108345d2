/** The guest's stdin, stdout and stderr when they are no terminal: they look like pipes whose other end is outside. */
import { EAGAIN, EFAULT, ENOTTY } from '../../abi/errno.js';
import { O_RDONLY, O_WRONLY } from '../../abi/fcntl.js';
import { S_IFIFO } from '../../abi/stat.js';
import type { GuestMemory, IoBuffer } from '../../mm/types.js';
import type { Bytes } from '../../platform/platform.js';
import { AnonymousFile, AnonymousInode, PSEUDO_FILE_SYSTEMS } from '../../vfs/anonymous-file.js';
import type { Caller, FileDescription, Path } from '../../vfs/types.js';
import { POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, WaitQueue } from '../../vfs/wait-queue.js';
import { PIPE_BUF } from '../pipe/pipe.js';

const FIONREAD = 0x541b;
const STAGING_BYTES = 65536;
const staging = new Uint8Array(STAGING_BYTES);

/**
 * Where output goes. `write` takes up to `length` bytes and says how many; 0 = no room until `onWritable` is woken. Up to PIPE_BUF
 * bytes are taken together or not at all, as pipe(7) says.
 */
export interface StdioSink {
  readonly onWritable: WaitQueue;
  write(bytes: Uint8Array, offset: number, length: Bytes): Bytes;
  /** Whether `write` would take PIPE_BUF bytes now. */
  readonly writable: boolean;
  /** A description of the stream came, or went (its last reference). */
  opened?(): void;
  closed?(): void;
}

/** Opening /proc/self/fd/1 or /dev/stdout gives another description of the same stream, as with a pipe. */
class StreamInode extends AnonymousInode {
  reopen: ((path: Path, flags: number) => FileDescription) | null = null;

  override open(path: Path, flags: number, _caller: Caller): FileDescription | number {
    return this.reopen?.(path, flags) ?? super.open(path, flags, _caller);
  }
}

function streamPath(number: number, owner: { uid: number; gid: number }): { inode: StreamInode; path: Path } {
  const { pipefs } = PSEUDO_FILE_SYSTEMS;
  const inode = new StreamInode(pipefs, number, S_IFIFO | 0o600);
  inode.uid = owner.uid;
  inode.gid = owner.gid;
  return { inode, path: inode.path(pipefs.mount) };
}

class OutputFile extends AnonymousFile {
  constructor(
    flags: number,
    path: Path,
    private readonly sink: StdioSink,
  ) {
    super(flags, path, sink.onWritable);
    sink.opened?.();
  }

  get displayName(): string {
    return `pipe:[${this.inode.number}]`;
  }

  override write(io: IoBuffer, _caller: Caller): number {
    if (io.remaining === 0) return 0;
    const run = io.run(STAGING_BYTES);
    // A short write that lies in pieces must not be cut between them.
    if (run > 0 && (run === io.remaining || io.remaining > PIPE_BUF)) {
      const taken = this.sink.write(io.runBytes, io.runOffset, run);
      io.advance(taken);
      return taken === 0 ? -EAGAIN : taken;
    }
    if (!this.sink.writable) return -EAGAIN;
    return io.faulted ? -EFAULT : this.writeStaged(io);
  }

  /** Short pieces, and what comes from the Sentry's own memory (sendfile, splice): what does not fit is left to the caller's next try. */
  private writeStaged(io: IoBuffer): number {
    let total = 0;
    while (io.remaining > 0 && this.sink.writable) {
      const got = io.take(staging, 0, Math.min(PIPE_BUF, io.remaining));
      if (got === 0) break;
      for (let at = 0; at < got; ) at += this.sink.write(staging, at, got - at);
      total += got;
    }
    return total;
  }

  override poll(): number {
    return this.sink.writable ? POLLOUT | POLLWRNORM : 0;
  }

  protected override close(): void {
    this.sink.closed?.();
  }
}

/** stdout or stderr. */
export function outputFile(number: number, owner: { uid: number; gid: number }, sink: StdioSink): FileDescription {
  const { inode, path } = streamPath(number, owner);
  inode.reopen = (where, flags) => new OutputFile(flags, where, sink);
  return new OutputFile(O_WRONLY, path, sink);
}

/** What arrives for stdin; bounded by the supervisor's own flow control. */
export class StdioSource {
  readonly queue = new WaitQueue();
  private readonly chunks: Uint8Array[] = [];
  private head = 0;
  available: Bytes = 0;
  ended = false;
  /** Called when bytes were taken, so that more may be asked for. */
  onDrain: (() => void) | null = null;

  /** Keeps a copy. */
  push(bytes: Uint8Array): void {
    if (this.ended || bytes.length === 0) return;
    this.chunks.push(bytes.slice());
    this.available += bytes.length;
    this.queue.wake(POLLIN | POLLRDNORM);
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.queue.wake(POLLIN | POLLHUP);
  }

  /** -EAGAIN when nothing is there yet, 0 at the end. */
  read(io: IoBuffer): number {
    if (io.remaining === 0) return 0;
    if (this.available === 0) return this.ended ? 0 : -EAGAIN;
    let total = 0;
    while (this.chunks.length > 0 && io.remaining > 0) {
      const chunk = this.chunks[0];
      const moved = io.put(chunk, this.head, chunk.length - this.head);
      if (moved === 0) break;
      total += moved;
      this.head += moved;
      if (this.head === chunk.length) {
        this.chunks.shift();
        this.head = 0;
      }
    }
    this.available -= total;
    if (total > 0) this.onDrain?.();
    return total === 0 ? -EFAULT : total;
  }
}

class InputFile extends AnonymousFile {
  constructor(
    flags: number,
    path: Path,
    private readonly source: StdioSource,
  ) {
    super(flags, path, source.queue);
  }

  get displayName(): string {
    return `pipe:[${this.inode.number}]`;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    return this.source.read(io);
  }

  override poll(): number {
    const { available, ended } = this.source;
    return (available > 0 ? POLLIN | POLLRDNORM : 0) | (ended ? POLLHUP : 0);
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    if (request !== FIONREAD) return -ENOTTY;
    return (caller.memory as GuestMemory).writeU32(argument, this.source.available) ? 0 : -EFAULT;
  }

  protected override close(): void {}
}

/** stdin. */
export function inputFile(number: number, owner: { uid: number; gid: number }, source: StdioSource): FileDescription {
  const { inode, path } = streamPath(number, owner);
  inode.reopen = (where, flags) => new InputFile(flags, where, source);
  return new InputFile(O_RDONLY, path, source);
}
