/**
 * Kernel memory for bytes in flight: pipes, sockets, datagrams. Buffers are powers of two, kept and handed out again
 * (last in, first out, so that they stay in the cache), and all of them together stay under one cap per sandbox:
 * a guest cannot make the Sentry swell by filling pipes that nobody reads.
 */
const MIN_SHIFT = 12;
const MAX_SHIFT = 20;
export const MIN_BUFFER = 1 << MIN_SHIFT;
export const MAX_BUFFER = 1 << MAX_SHIFT;
/** Idle buffers kept per size; more go to the garbage collector. */
const KEEP_BYTES = 1 << 20;

export class KernelBuffers {
  /** Bytes handed out now. */
  inUse = 0;
  private readonly free: Uint8Array[][] = [];

  constructor(public limit = 64 << 20) {
    for (let shift = MIN_SHIFT; shift <= MAX_SHIFT; shift++) this.free.push([]);
  }

  /** A buffer of `size` bytes (a power of two, MIN_BUFFER to MAX_BUFFER) with old content, or null at the limit. */
  acquire(size: number): Uint8Array | null {
    if (this.inUse + size > this.limit) return null;
    this.inUse += size;
    return this.free[31 - Math.clz32(size) - MIN_SHIFT].pop() ?? new Uint8Array(size);
  }

  /** Counts bytes that somebody else allocates (queued messages); false at the limit. */
  charge(bytes: number): boolean {
    if (this.inUse + bytes > this.limit) return false;
    this.inUse += bytes;
    return true;
  }

  uncharge(bytes: number): void {
    this.inUse -= bytes;
  }

  release(buffer: Uint8Array): void {
    const size = buffer.length;
    this.inUse -= size;
    const list = this.free[31 - Math.clz32(size) - MIN_SHIFT];
    if (list.length * size < KEEP_BYTES) list.push(buffer);
  }
}

/** Of this sandbox: a Sentry process holds exactly one. */
export const kernelBuffers = new KernelBuffers();

/** Smallest buffer size that holds `length` bytes. */
export function bufferSize(length: number): number {
  return length <= MIN_BUFFER ? MIN_BUFFER : 1 << (32 - Math.clz32(length - 1));
}
