import { EAGAIN, EBUSY, EFAULT, EINVAL, ENOTTY, ENXIO, EPERM, EPIPE } from '../../abi/errno.js';
import { O_ACCMODE, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../../abi/fcntl.js';
import { FIONREAD } from '../../abi/ioctl.js';
import { S_IFIFO } from '../../abi/stat.js';
import type { IoBuffer } from '../../mm/types.js';
import { ByteRing } from '../../net/byte-ring.js';
import { bufferSize, MAX_BUFFER, MIN_BUFFER } from '../../net/kernel-buffers.js';
import { AnonymousFile, AnonymousInode, PSEUDO_FILE_SYSTEMS } from '../../vfs/anonymous-file.js';
import type { Caller, FileDescription, Inode, Path } from '../../vfs/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, WaitQueue } from '../../vfs/wait-queue.js';
import { registerFifo } from '../tmpfs/special-file.js';

/** Writes of up to this many bytes never mix with others (pipe(7)). */
export const PIPE_BUF = 4096;
export const DEFAULT_CAPACITY = 65536;
/** /proc/sys/fs/pipe-max-size: what F_SETPIPE_SZ allows. */
export const PIPE_MAX_SIZE = MAX_BUFFER;

/**
 * What all descriptions of one pipe or FIFO share. Readers wait for POLLIN and writers for POLLOUT on one queue.
 * Invariant: `segments` is null (plain bytes) or its absolute values sum to `ring.length`.
 */
export class Pipe {
  readonly ring = new ByteRing(DEFAULT_CAPACITY);
  readonly waitQueue = new WaitQueue();
  readers = 0;
  writers = 0;
  /** How often each side was opened: tells a blocked open(2) that the other end came, even if it is gone again. */
  readerOpens = 0;
  writerOpens = 0;
  /** With O_DIRECT: lengths in order, positive = one packet, negative = plain bytes. */
  private segments: number[] | null = null;

  /** As `FileDescription.read`. */
  read(io: IoBuffer): number {
    if (io.remaining === 0) return 0;
    const ring = this.ring;
    if (ring.length === 0) return this.writers === 0 ? 0 : -EAGAIN;
    const wasFull = ring.free < PIPE_BUF || this.segments !== null;
    const done = this.segments ? this.readSegment(io, this.segments) : ring.read(io, ring.length);
    if (done > 0 && wasFull) this.waitQueue.wake(POLLOUT | POLLWRNORM);
    return done;
  }

  /** As `FileDescription.write`; `packet` = O_DIRECT. -EPIPE without readers. */
  write(io: IoBuffer, packet: boolean): number {
    if (this.readers === 0) return -EPIPE;
    const wanted = io.remaining;
    if (wanted === 0) return 0;
    const ring = this.ring;
    // Only the first part of a write is bound to be atomic; the rest of a long one goes as there is room.
    if (wanted <= PIPE_BUF && io.done === 0 && ring.free < wanted) return -EAGAIN;
    if (packet || this.segments) return this.writeSegments(io, packet);
    const done = ring.write(io, wanted);
    if (done > 0) this.waitQueue.wake(POLLIN | POLLRDNORM);
    return done === 0 ? -EAGAIN : done;
  }

  /** Copies out without consuming: up to `max` bytes, of one packet at most. -EAGAIN when empty, 0 at end of file. */
  peek(io: IoBuffer, max: number): number {
    if (this.ring.length === 0) return this.writers === 0 ? 0 : -EAGAIN;
    return this.ring.peek(io, 0, this.segments ? Math.min(max, Math.abs(this.segments[0])) : max);
  }

  /** Drops `count` bytes that `peek` has shown. */
  consume(count: number): void {
    const wasFull = this.ring.free < PIPE_BUF || this.segments !== null;
    this.ring.discard(count);
    if (this.segments) this.consumeSegment(this.segments, count);
    if (wasFull) this.waitQueue.wake(POLLOUT | POLLWRNORM);
  }

  private consumeSegment(segments: number[], count: number): void {
    const first = segments[0];
    if (count < Math.abs(first)) segments[0] = first - Math.sign(first) * count;
    else segments.shift();
    if (segments.length === 0) this.segments = null;
  }

  /** Room for up to `wanted` bytes, kept until the next `write` or `release`. 0 when full, -ENOMEM. */
  reserve(wanted: number): number {
    return this.writable ? this.ring.prepare(wanted) : 0;
  }

  /** Nothing came for what was reserved. */
  release(): void {
    this.ring.settle();
  }

  /** F_SETPIPE_SZ: the new capacity, -EBUSY if more is queued, -EPERM beyond PIPE_MAX_SIZE, -EINVAL. */
  resize(size: number): number {
    if (!(size >= 0) || size > 0x80000000) return -EINVAL;
    if (size > PIPE_MAX_SIZE) return -EPERM;
    const capacity = bufferSize(Math.max(size, MIN_BUFFER));
    if (capacity < this.ring.length) return -EBUSY;
    const wasFull = this.ring.free < PIPE_BUF;
    this.ring.capacity = capacity;
    if (wasFull && this.ring.free >= PIPE_BUF) this.waitQueue.wake(POLLOUT | POLLWRNORM);
    return capacity;
  }

  get writable(): boolean {
    return this.ring.free >= PIPE_BUF && !this.segmentsFull();
  }

  /** One packet per page, as Linux's slots. */
  private segmentsFull(): boolean {
    return this.segments !== null && this.segments.length >= this.ring.capacity / MIN_BUFFER;
  }

  private readSegment(io: IoBuffer, segments: number[]): number {
    const first = segments[0];
    const length = Math.abs(first);
    const done = this.ring.read(io, length);
    if (done < 0) return done;
    if (first > 0) {
      // What of a packet does not fit the reader's buffer is lost.
      if (done < length) this.ring.discard(length - done);
      segments.shift();
    } else if (done === length) segments.shift();
    else segments[0] = first + done;
    if (segments.length === 0) this.segments = null;
    return done;
  }

  private writeSegments(io: IoBuffer, packet: boolean): number {
    this.segments ??= this.ring.length > 0 ? [-this.ring.length] : [];
    const segments = this.segments;
    let total = 0;
    let failure = -EAGAIN;
    while (io.remaining > 0 && !this.segmentsFull()) {
      const part = packet ? Math.min(io.remaining, PIPE_BUF) : io.remaining;
      if (packet && this.ring.free < part) break;
      const done = this.ring.write(io, part);
      if (done < 0) failure = done;
      if (done <= 0) break;
      segments.push(packet ? done : -done);
      total += done;
      if (done < part) break;
    }
    if (segments.length === 0) this.segments = null;
    if (total > 0) this.waitQueue.wake(POLLIN | POLLRDNORM);
    return total > 0 ? total : failure;
  }

  /** Nobody has it open any more: what was queued is gone. */
  reset(): void {
    this.ring.clear();
    this.segments = null;
  }
}

/** One end (or, for O_RDWR FIFOs, both) of a pipe. */
export class PipeFile extends AnonymousFile {
  private readonly reads: boolean;
  private readonly writes: boolean;
  /** Opens of the other side when this was opened; -1 when it was there already. */
  private readonly seenOpens: number;

  constructor(
    readonly pipe: Pipe,
    flags: number,
    path: Path,
    private readonly named: boolean,
  ) {
    super(flags, path, pipe.waitQueue);
    const mode = flags & O_ACCMODE;
    this.reads = mode !== O_WRONLY;
    this.writes = mode !== O_RDONLY;
    if (this.reads) this.seenOpens = pipe.writers > 0 ? -1 : pipe.writerOpens;
    else this.seenOpens = pipe.readers > 0 ? -1 : pipe.readerOpens;
    if (this.reads) {
      pipe.readers++;
      pipe.readerOpens++;
    }
    if (this.writes) {
      pipe.writers++;
      pipe.writerOpens++;
    }
  }

  get displayName(): string | null {
    return this.named ? null : `pipe:[${this.inode.number}]`;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    return this.pipe.read(io);
  }

  override write(io: IoBuffer, _caller: Caller): number {
    return this.pipe.write(io, (this.flags & O_DIRECT) !== 0);
  }

  poll(): number {
    const pipe = this.pipe;
    let events = 0;
    if (this.reads) {
      if (pipe.ring.length > 0) events |= POLLIN | POLLRDNORM;
      if (pipe.writers === 0 && pipe.writerOpens !== this.seenOpens) events |= POLLHUP;
    }
    if (this.writes) {
      if (pipe.writable) events |= POLLOUT | POLLWRNORM;
      if (pipe.readers === 0) events |= POLLERR;
    }
    return events;
  }

  openPending(): boolean {
    // Only a named FIFO waits: /proc/self/fd/N of a pipe opens at once, also when its writers are gone already.
    if (!this.named || (this.reads && this.writes)) return false;
    return this.reads
      ? this.pipe.writers === 0 && this.pipe.writerOpens === this.seenOpens
      : this.pipe.readers === 0 && this.pipe.readerOpens === this.seenOpens;
  }

  /** fcntl(F_SETPIPE_SZ): see Pipe.resize. Beyond PIPE_MAX_SIZE not even CAP_SYS_RESOURCE helps here. */
  setPipeSize(bytes: number): number {
    return this.pipe.resize(bytes);
  }

  /** fcntl(F_GETPIPE_SZ): capacity in bytes. */
  getPipeSize(): number {
    return this.pipe.ring.capacity;
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    if (request !== FIONREAD) return -ENOTTY;
    return caller.memory.writeU32(argument, this.pipe.ring.length) ? 0 : -EFAULT;
  }

  protected override close(): void {
    const pipe = this.pipe;
    if (this.reads) pipe.readers--;
    if (this.writes) pipe.writers--;
    if (pipe.readers === 0 && pipe.writers === 0) pipe.reset();
    else if (this.reads && pipe.readers === 0) pipe.waitQueue.wake(POLLOUT | POLLWRNORM | POLLERR);
    else if (this.writes && pipe.writers === 0) pipe.waitQueue.wake(POLLIN | POLLRDNORM | POLLHUP);
  }
}

/** Inode of an unnamed pipe: /proc/self/fd/N opens it again. */
class PipeInode extends AnonymousInode {
  readonly pipe = new Pipe();

  constructor(number: number) {
    super(PSEUDO_FILE_SYSTEMS.pipefs, number, S_IFIFO | 0o600);
  }

  override open(path: Path, flags: number, _caller: Caller): FileDescription | number {
    return openFifo(this.pipe, path, flags, false);
  }
}

/**
 * pipe2(2): fills `out` with the read end and the write end, each with one reference. `flags`: O_NONBLOCK, O_DIRECT.
 * `number` is a fresh object number.
 */
export function createPipe(flags: number, number: number, caller: Caller, out: FileDescription[]): void {
  const inode = new PipeInode(number);
  inode.uid = caller.credentials.fsuid;
  inode.gid = caller.credentials.fsgid;
  const path = inode.path(PSEUDO_FILE_SYSTEMS.pipefs.mount);
  const status = flags & (O_NONBLOCK | O_DIRECT);
  out[0] = new PipeFile(inode.pipe, O_RDONLY | status, path, false);
  out[1] = new PipeFile(inode.pipe, O_WRONLY | status, path, false);
}

/**
 * Opens a FIFO (fifo(7)). The inode of a named FIFO keeps one `Pipe` for as long as it lives. -ENXIO: write-only,
 * O_NONBLOCK and no reader. A blocking open must wait while `openPending()` of the result.
 */
export function openFifo(pipe: Pipe, path: Path, flags: number, named = true): PipeFile | number {
  if ((flags & O_ACCMODE) === 3) return -EINVAL;
  if (named && (flags & O_ACCMODE) === O_WRONLY && flags & O_NONBLOCK && pipe.readers === 0) return -ENXIO;
  const file = new PipeFile(pipe, flags, path, named);
  pipe.waitQueue.wake(POLLIN | POLLOUT);
  return file;
}

/** Pipes of named FIFOs, for as long as somebody has one open. */
const namedPipes = new WeakMap<Inode, Pipe>();

registerFifo((inode, path, flags) => {
  let pipe = namedPipes.get(inode);
  if (!pipe) {
    pipe = new Pipe();
    namedPipes.set(inode, pipe);
  }
  return openFifo(pipe, path, flags);
});
