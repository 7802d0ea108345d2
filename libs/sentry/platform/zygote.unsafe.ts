/**
 * The native side of the zygote (native/zygote.c): waiting, forking, reaping, and a child's first steps.
 * All functions return a result or -errno unless they say otherwise.
 */
import { native } from './native/index.js';

interface ZygoteNative {
  socketPair(out: Int32Array): number;
  duplicate(fd: number): number;
  sendWithDescriptor(socket: number, bytes: Uint8Array, fd: number): number;
  closeDescriptor(fd: number): number;
  shimLoaded(): number;
  quiesced(): number;
  zygoteWait(control: number, childEvents: number, out: Int32Array): number;
  forkChild(ownPidNamespace: number): number;
  childStart(nullFd: number, stale: Int32Array, keep: Int32Array, channel: number, errors: number): number;
  errorFile(bytes: number): number;
  readAt(fd: number, bytes: Uint8Array, offset: number): number;
  writeAll(fd: number, bytes: Uint8Array): number;
  killProcess(pid: number, signal: number): number;
  limitCpu(pid: number, seconds: number): number;
  exitGroup(code: number): never;
  getPid(): number;
  randomBytes(bytes: Uint8Array): number;
  becomeSubreaper(): number;
  keepAffinity(): number;
  restoreAffinity(): number;
  /** Pairs of start and end of memory that only this process has and may write; how many, or -errno. Needs /proc. */
  privatePages(out: BigUint64Array): number;
  /** Copies pages, given so, before they are written to. */
  prefault(pairs: BigUint64Array): void;
  /** The core this thread runs on. */
  currentCpu(): number;
}

export const zygoteNative = native as unknown as ZygoteNative;

/** What `zygoteWait` returns. */
export const ZygoteEvent = { HangUp: 0, Request: 1, ChildEnded: 2 } as const;

/** The number a child's channel has. */
export const CHANNEL_FD = 3;

/** Throws for a negative result. */
export function check(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: errno ${-result}`);
  return result;
}
