import type { Bytes, GuestAddress, HostFd, Nanoseconds } from '../platform.js';

/** Bytes at the end of the slab of contexts: what `resume` and `next` are about (struct turn, native/stub-contexts.h). */
export const TURN_BYTES = 64;
/** Its 32-bit words. */
export const TURN_CONTEXT = 0;
export const TURN_SPACE = 1;
export const TURN_RESULT = 2;
/** Offset of its deadline, nanoseconds as a double. */
export const TURN_DEADLINE = 16;

/** Passed where a typed array may be absent. */
export const NO_ARGUMENT = null;

/** The native half of a platform with stub processes (native/ptrace.c, native/systrap.c). Contexts and spaces are small integers; results are >= 0 or -errno. */
export interface StubNative {
  reserveContexts(): ArrayBuffer | number;
  start(): number;
  stop(): number;
  xsaveBytes(): Bytes;
  createContext(): number;
  /** Makes the thread it needs in the space: 0 or -errno. */
  prepare(context: number, space: number): number;
  releaseContext(context: number): number;
  /** `original`: a space whose mappings the new one has too, or -1. */
  createSpace(original: number): number;
  releaseSpace(space: number): number;
  /** fd -1: the memory file. */
  map(
    space: number,
    address: GuestAddress,
    length: Bytes,
    fd: HostFd,
    offset: Bytes,
    protection: number,
    populate: number,
  ): number;
  unmap(space: number, address: GuestAddress, length: Bytes): number;
  protect(space: number, address: GuestAddress, length: Bytes, protection: number): number;
  /** Resumes the context of the turn (`TURN_*`). Result, in the turn: 0 or -errno. */
  resume(): void;
  /** Resumes the context of the turn unless it is -1, then waits. Result: a context, -1 nothing, -2 watched descriptor ready, -(1000+errno). */
  next(): void;
  interrupt(context: number): number;
  readXsave(context: number, bytes: Uint8Array): number;
  writeXsave(context: number, bytes: Uint8Array | null): number;
  copyXsave(from: number, to: number): number;
  contextTime(context: number): Nanoseconds;
  spaceTime(space: number): Nanoseconds;
  totalTime(): Nanoseconds;
  /** Where stubs have the host's vdso, and what it is; null without one. */
  hostVdso(): { address: GuestAddress; bytes: ArrayBuffer } | null;
  watch(fd: HostFd, events: number): number;
  /** What the platform knows of why `next` failed. */
  trouble?(): string;
  /** Pairs of descriptor and ready events. */
  watched(out: Int32Array): number;
}
