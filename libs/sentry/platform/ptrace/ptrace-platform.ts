import { native } from '../native/index.js';
import type { MemoryFile } from '../platform.js';
import type { StubNative } from '../stubs/stub-native.js';
import { StubPlatform } from '../stubs/stub-platform.js';

interface PtraceNative extends StubNative {
  /** The template's live seccomp program, 8 bytes an instruction; instructions, or -errno (-EACCES unless root). */
  stubFilter(out: Uint8Array): number;
}

export const ptraceNative = native.ptrace as PtraceNative;

/** Below the stub's page near the top (native/ptrace-stub.h). */
const MAX_ADDRESS = 0x7ffffffe0000;

/**
 * Guest code under PTRACE_SYSEMU, the Sentry as its tracer. Works wherever ptrace does. Sentry and stubs share one core (`pin`):
 * across cores a trap costs ten times as much.
 */
export class PtracePlatform extends StubPlatform {
  constructor(memory: MemoryFile) {
    super('ptrace', memory, ptraceNative, MAX_ADDRESS);
  }
}
