/**
 * Raw host system calls (native/host.c): the Sentry has no event loop and no libuv. Counts, descriptors or -errno; nothing throws.
 * Paths are byte strings.
 */
import { native } from './native/index.js';
import type { Bytes, HostFd, Nanoseconds } from './platform.js';

/** Places in what `statAt` fills. */
export const StatField = {
  Mode: 0,
  Links: 1,
  Uid: 2,
  Gid: 3,
  Size: 4,
  BlockSize: 5,
  Blocks: 6,
  Inode: 7,
  Device: 8,
  Rdev: 9,
  AtimeSeconds: 10,
  AtimeNanoseconds: 11,
  MtimeSeconds: 12,
  MtimeNanoseconds: 13,
  CtimeSeconds: 14,
  CtimeNanoseconds: 15,
  BtimeSeconds: 16,
  BtimeNanoseconds: 17,
} as const;
export const STAT_FIELDS = 18;

interface Host {
  /** openat2 that never leaves dirFd and never follows a link; close-on-exec. */
  openBeneath(dirFd: HostFd, path: string, flags: number): HostFd;
  close(fd: HostFd): number;
  read(fd: HostFd, bytes: Uint8Array, offset: number, length: Bytes): number;
  write(fd: HostFd, bytes: Uint8Array, offset: number, length: Bytes): number;
  pread(fd: HostFd, bytes: Uint8Array, offset: number, length: Bytes, position: Bytes): number;
  /** linux_dirent64 records. */
  getdents(fd: HostFd, bytes: Uint8Array, offset: number, length: Bytes): number;
  /** Does not follow a final link; "" is dirFd itself. */
  statAt(dirFd: HostFd, path: string, out: Float64Array): number;
  readlinkAt(dirFd: HostFd, path: string): string | number;
  /** CLOCK_MONOTONIC. */
  now(): Nanoseconds;
  /** From now on `tick` puts CLOCK_MONOTONIC there. */
  useTicks(cell: Float64Array): number;
  tick(): void;
  /** CLOCK_REALTIME: [seconds, nanoseconds]. */
  clockTime(clock: number, out: Float64Array): number;
  random(bytes: Uint8Array): number;
  /** Waits for poll(2) events; -1 = for ever. 0 on time-out, -EINTR. */
  poll(fd: HostFd, events: number, milliseconds: number): number;
  setNonBlocking(fd: HostFd): number;
  /** Binds this process and its later children to one core. */
  pin(cpu: number): number;
  memoryReserve(capacity: Bytes): ArrayBuffer | number;
  memoryAttach(): number;
  memoryDetach(): number;
  memoryDiscard(offset: Bytes, length: Bytes): number;
  memoryCopy(to: Bytes, from: Bytes, length: Bytes): number;
  preadMemory(fd: HostFd, memoryOffset: Bytes, length: Bytes, position: Bytes): number;
  compareExchange(memoryOffset: Bytes, expected: number, replacement: number): number;
}

export const host = native as unknown as Host;

/** What `host.tick` fills. With a buffer of its own: what small typed arrays have otherwise, V8 moves about. */
export const ticks = new Float64Array(new ArrayBuffer(8));
host.useTicks(ticks);
