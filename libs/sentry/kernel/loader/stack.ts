import {
  AT_BASE,
  AT_CLKTCK,
  AT_EGID,
  AT_ENTRY,
  AT_EUID,
  AT_EXECFN,
  AT_FLAGS,
  AT_GID,
  AT_HWCAP,
  AT_HWCAP2,
  AT_MINSIGSTKSZ,
  AT_NULL,
  AT_PAGESZ,
  AT_PHDR,
  AT_PHENT,
  AT_PHNUM,
  AT_PLATFORM,
  AT_RANDOM,
  AT_SECURE,
  AT_SYSINFO_EHDR,
  AT_UID,
} from '../../abi/auxv.js';
import { Phdr } from '../../abi/elf.js';
import { E2BIG, EFAULT, ENOMEM } from '../../abi/errno.js';
import type { MemoryManager } from '../../mm/memory-manager.js';
import { type Bytes, type GuestAddress, PAGE_SIZE } from '../../platform/platform.js';
import type { Credentials } from '../../vfs/types.js';

/** Longest argument or environment string with its NUL (MAX_ARG_STRLEN). */
const STRING_MAX: Bytes = 128 << 10;
/** What arguments and environment may take, whatever RLIMIT_STACK says (ARG_MAX, and three quarters of _STK_LIM). */
const ARGUMENTS_MIN: Bytes = 128 << 10;
const ARGUMENTS_MAX: Bytes = 6 << 20;
/** Stack mapped beyond what the arguments take (stack_expand). */
const INITIAL_STACK: Bytes = 128 << 10;
const PLATFORM = 'x86_64';
const CLOCK_TICKS = 100;

/** Processor facts that programs learn from the auxiliary vector: the host's own. */
export interface HostAuxv {
  readonly hwcap: number;
  readonly hwcap2: number;
  readonly minSigStackSize: number;
}

export interface StackRequest {
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  readonly execName: string;
  /** Of the program, set-user-ID bits applied. */
  readonly credentials: Credentials;
  /** AT_SECURE. */
  readonly secure: boolean;
  readonly headerAddress: GuestAddress;
  readonly headerCount: number;
  /** Where the interpreter is, 0 without one. */
  readonly interpreterBase: GuestAddress;
  /** The program's own entry. */
  readonly entry: GuestAddress;
  readonly executableStack: boolean;
  readonly hostAuxv: HostAuxv;
  /** Where the vdso is, 0 without one. */
  readonly vdsoAddress: GuestAddress;
  readonly random: (destination: Uint8Array) => void;
}

/** Bytes of the strings and the pointers to them, or -E2BIG. `stackLimit`: RLIMIT_STACK. */
export function measureArguments(argv: readonly string[], envp: readonly string[], stackLimit: Bytes): number {
  const allowed = Math.min(ARGUMENTS_MAX, Math.max(ARGUMENTS_MIN, stackLimit / 4));
  let size = (argv.length + envp.length + 2) * 8;
  for (const list of [argv, envp]) {
    for (const text of list) {
      if (text.length >= STRING_MAX) return -E2BIG;
      size += text.length + 1;
      if (size > allowed) return -E2BIG;
    }
  }
  return size;
}

/**
 * Builds the initial stack (x86-64 psABI 3.4.1, Linux create_elf_tables) and fills the layout. The stack pointer, -E2BIG or -ENOMEM.
 * From the top: 8 zero bytes, exec name, environment strings, argument strings, platform string, 16 random bytes, then (16-byte
 * aligned) auxiliary vector, environment pointers, argument pointers, argc.
 */
export function buildStack(memory: MemoryManager, request: StackRequest): number {
  const { argv, envp, execName, credentials, hostAuxv } = request;
  const size = measureArguments(argv, envp, memory.limits.stack);
  if (size < 0) return size;
  const { layout } = memory;
  const top = layout.stackTop;
  // All of it is put together here and copied out at once.
  const capacity = size + execName.length + 1024;
  const bytes = Buffer.alloc(capacity);
  const base = top - capacity;
  let at = capacity - 8;
  const push = (text: string): GuestAddress => {
    at -= text.length + 1;
    bytes.write(text, at, 'latin1');
    return base + at;
  };
  const execAddress = push(execName);
  layout.envEnd = execAddress;
  const environment = pushAll(envp, push);
  layout.envStart = base + at;
  layout.argEnd = layout.envStart;
  const parameters = pushAll(argv, push);
  layout.argStart = base + at;
  const platform = push(PLATFORM);
  at -= 16;
  request.random(bytes.subarray(at, at + 16));
  const randomAddress = base + at;

  const auxv: readonly number[] = [
    ...(request.vdsoAddress === 0 ? [] : [AT_SYSINFO_EHDR, request.vdsoAddress]),
    AT_HWCAP,
    hostAuxv.hwcap,
    AT_PAGESZ,
    PAGE_SIZE,
    AT_CLKTCK,
    CLOCK_TICKS,
    AT_PHDR,
    request.headerAddress,
    AT_PHENT,
    Phdr.Size,
    AT_PHNUM,
    request.headerCount,
    AT_BASE,
    request.interpreterBase,
    AT_FLAGS,
    0,
    AT_ENTRY,
    request.entry,
    AT_UID,
    credentials.uid,
    AT_EUID,
    credentials.euid,
    AT_GID,
    credentials.gid,
    AT_EGID,
    credentials.egid,
    AT_SECURE,
    request.secure ? 1 : 0,
    AT_RANDOM,
    randomAddress,
    AT_HWCAP2,
    hostAuxv.hwcap2,
    AT_EXECFN,
    execAddress,
    AT_PLATFORM,
    platform,
    AT_MINSIGSTKSZ,
    hostAuxv.minSigStackSize,
    AT_NULL,
    0,
  ];
  const words = [argv.length, ...parameters, 0, ...environment, 0, ...auxv];
  let stackPointer = base + at - words.length * 8;
  stackPointer -= stackPointer % 16;
  let cursor = stackPointer - base;
  const view = new DataView(bytes.buffer, bytes.byteOffset, capacity);
  for (const value of words) {
    view.setUint32(cursor, value, true);
    view.setInt32(cursor + 4, Math.floor(value / 0x100000000), true);
    cursor += 8;
  }
  layout.auxv = new Uint8Array(bytes.subarray(cursor - auxv.length * 8, cursor));

  const used = top - stackPointer;
  const length = Math.ceil((used + INITIAL_STACK) / PAGE_SIZE) * PAGE_SIZE;
  memory.createStack(length, request.executableStack);
  const from = stackPointer - base;
  const copied = memory.copyOut(stackPointer, bytes, from, used);
  if (copied === used) return stackPointer;
  return memory.frames.limitHit ? -ENOMEM : -EFAULT;
}

/** Pushes the last first, so that they lie in order. Returns their addresses in order. */
function pushAll(texts: readonly string[], push: (text: string) => GuestAddress): number[] {
  const addresses = new Array<number>(texts.length);
  for (let index = texts.length - 1; index >= 0; index--) addresses[index] = push(texts[index]);
  return addresses;
}
