import { EAGAIN, ENOMEM } from '../../abi/errno.js';
import { host, ticks } from '../host.js';
import {
  type Bytes,
  type Context,
  type GuestAddress,
  type HostFd,
  type HostWatcher,
  type MapSource,
  type MemoryFile,
  type Nanoseconds,
  type Platform,
  type PlatformAddressSpace,
  PlatformError,
  type Protection,
} from '../platform.js';
import { StubContext } from './stub-context.js';
import { type StubNative, TURN_BYTES, TURN_CONTEXT, TURN_DEADLINE, TURN_RESULT, TURN_SPACE } from './stub-native.js';

/** Above what null pointers reach. */
const MIN_ADDRESS = 0x10000;
const NEXT_WATCHED = -2;
const NEXT_RESUME_FAILED = -1000;

function must(result: number, what: string): number {
  if (result < 0) throw new PlatformError(`${what}: errno ${-result}`);
  return result;
}

/** An address space that the native half knows by a number. */
export interface NumberedSpace extends PlatformAddressSpace {
  readonly index: number;
}

class StubAddressSpace implements NumberedSpace {
  readonly minAddress = MIN_ADDRESS;
  readonly mapsFiles = true;

  constructor(
    private readonly native: StubNative,
    readonly index: number,
    readonly maxAddress: GuestAddress,
  ) {}

  map(
    address: GuestAddress,
    length: Bytes,
    source: MapSource,
    offset: Bytes,
    protection: Protection,
    populate: boolean,
  ): void {
    const fd = source.kind === 'memory' ? -1 : source.fd;
    must(
      this.native.map(this.index, address, length, fd, offset, protection, populate ? 1 : 0),
      'mapping guest memory',
    );
  }

  unmap(address: GuestAddress, length: Bytes): void {
    must(this.native.unmap(this.index, address, length), 'unmapping guest memory');
  }

  protect(address: GuestAddress, length: Bytes, protection: Protection): void {
    must(this.native.protect(this.index, address, length, protection), 'protecting guest memory');
  }

  clone(): PlatformAddressSpace | null {
    const index = this.native.createSpace(this.index);
    if (index === -EAGAIN || index === -ENOMEM) return null;
    must(index, 'cloning an address space');
    return new StubAddressSpace(this.native, index, this.maxAddress);
  }

  cpuTime(): Nanoseconds {
    return this.native.spaceTime(this.index);
  }

  release(): void {
    this.native.releaseSpace(this.index);
  }
}

/**
 * Guest code in stub processes, which hold one guest address space each: what ptrace and systrap have in common; they differ by
 * their native halves. Constructed in the zygote; `start` in the process that uses it.
 */
export class StubPlatform implements Platform {
  /** Known once it has started. */
  hostVdso: Platform['hostVdso'] = null;
  private readonly slab: ArrayBuffer;
  /** What the next `resume` or `next` of the native half is about: no arguments, no results, which cost more to pass. */
  private readonly turn: Int32Array;
  private readonly deadline: Float64Array;
  private readonly contexts: StubContext[] = [];
  private readonly watchers = new Map<HostFd, HostWatcher>();
  private readonly ready = new Int32Array(16);
  /** Resumed by the coming `next`, so that resume and wait are one call into the addon. */
  private deferred: StubContext | null = null;
  private deferredSpace = 0;
  private reserved: PlatformAddressSpace | null = null;

  /** maxAddress: guest memory ends there, the stub's own begins. */
  constructor(
    readonly name: Platform['name'],
    readonly memory: MemoryFile,
    private readonly native: StubNative,
    private readonly maxAddress: GuestAddress,
  ) {
    const slab = this.native.reserveContexts();
    if (typeof slab === 'number') throw new PlatformError(`context slab: errno ${-slab}`);
    this.slab = slab;
    const turnAt = slab.byteLength - TURN_BYTES;
    this.turn = new Int32Array(slab, turnAt, 4);
    this.deadline = new Float64Array(slab, turnAt + TURN_DEADLINE, 1);
  }

  /** Makes the template stub. Throws PlatformError where the host forbids it. */
  start(): void {
    this.contexts.length = 0;
    this.watchers.clear();
    this.deferred = null;
    this.reserved = null;
    must(this.native.start(), 'starting the stub');
    this.hostVdso = this.native.hostVdso();
  }

  reserve(): void {
    if (this.reserved !== null) return;
    const index = this.native.createSpace(-1);
    if (index < 0) return;
    const space = new StubAddressSpace(this.native, index, this.maxAddress);
    // The thread stays in the space when the context that asked for it goes.
    const context = this.createContext();
    this.prepare(context, space);
    context.release();
    this.reserved = space;
  }

  createAddressSpace(): PlatformAddressSpace {
    const { reserved } = this;
    if (reserved !== null) {
      this.reserved = null;
      return reserved;
    }
    const index = must(this.native.createSpace(-1), 'creating an address space');
    return new StubAddressSpace(this.native, index, this.maxAddress);
  }

  createContext(): Context {
    const index = must(this.native.createContext(), 'creating a context');
    const context = new StubContext(this.native, this.slab, index);
    this.contexts[index] = context;
    return context;
  }

  prepare(context: Context, space: PlatformAddressSpace): boolean {
    const result = this.native.prepare((context as StubContext).index, (space as NumberedSpace).index);
    if (result === -EAGAIN || result === -ENOMEM) return false;
    must(result, 'preparing a thread');
    return true;
  }

  resume(context: Context, space: PlatformAddressSpace): void {
    this.flushDeferred();
    this.deferred = context as StubContext;
    this.deferredSpace = (space as NumberedSpace).index;
    this.deferred.running = true;
  }

  letGo(): void {
    this.flushDeferred();
  }

  next(deadline: Nanoseconds): Context | null {
    const { deferred, turn } = this;
    this.deferred = null;
    turn[TURN_CONTEXT] = deferred === null || deferred.released ? -1 : deferred.index;
    turn[TURN_SPACE] = this.deferredSpace;
    this.deadline[0] = deadline;
    this.native.next();
    const result = turn[TURN_RESULT];
    if (result >= 0) {
      const context = this.contexts[result];
      context.running = false;
      return context;
    }
    if (result === NEXT_WATCHED) this.tellWatchers();
    else if (result <= NEXT_RESUME_FAILED) {
      const trouble = this.native.trouble?.() ?? '';
      throw new PlatformError(`resuming a guest: errno ${NEXT_RESUME_FAILED - result} ${trouble}`.trimEnd());
    }
    return null;
  }

  interrupt(context: Context): void {
    if (!context.running) return;
    if (this.deferred === context) this.flushDeferred();
    this.native.interrupt((context as StubContext).index);
  }

  watch(fd: HostFd, events: number, watcher: HostWatcher): void {
    if (events === 0) this.watchers.delete(fd);
    else this.watchers.set(fd, watcher);
    must(this.native.watch(fd, events), 'watching a descriptor');
  }

  shortCall(): number {
    return 0;
  }

  now(): Nanoseconds {
    return host.now();
  }

  tick(): Float64Array {
    host.tick();
    return ticks;
  }

  cpuTime(): Nanoseconds {
    return this.native.totalTime();
  }

  shutdown(): void {
    this.deferred = null;
    this.native.stop();
  }

  private flushDeferred(): void {
    const { deferred } = this;
    if (deferred === null) return;
    this.deferred = null;
    if (deferred.released) return;
    const { turn } = this;
    turn[TURN_CONTEXT] = deferred.index;
    turn[TURN_SPACE] = this.deferredSpace;
    this.native.resume();
    if (turn[TURN_RESULT] < 0) must(turn[TURN_RESULT], 'resuming a guest');
  }

  private tellWatchers(): void {
    const count = this.native.watched(this.ready);
    for (let index = 0; index < count; index++) {
      this.watchers.get(this.ready[2 * index])?.(this.ready[2 * index + 1]);
    }
  }
}
