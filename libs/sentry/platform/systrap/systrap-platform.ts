import { native } from '../native/index.js';
import type { MemoryFile } from '../platform.js';
import type { StubNative } from '../stubs/stub-native.js';
import { StubPlatform } from '../stubs/stub-platform.js';

/** Doorbell, slots and code of the stub lie above (native/systrap-stub.h). */
const MAX_ADDRESS = 0x7ffff0000000;

interface SystrapNative extends StubNative {
  shortCall(): number;
}

const systrapNative = native.systrap as SystrapNative;

/**
 * Guest threads run untraced; seccomp turns their system calls into SIGSYS, and registers change hands in shared memory
 * (native/systrap.c, its parts in systrap-state.h). Needs FSGSBASE and ptrace (the thread of a stub that maps memory is stopped under it).
 */
export class SystrapPlatform extends StubPlatform {
  constructor(memory: MemoryFile) {
    super('systrap', memory, systrapNative, MAX_ADDRESS);
  }

  override shortCall(): number {
    return systrapNative.shortCall();
  }
}
