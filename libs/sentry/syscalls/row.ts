import type { SyscallName } from '../abi/syscall-numbers.js';
import type { SyscallHandler } from '../kernel/types.js';

/**
 * Row of the system call table. `signature` drives audit and `cordon trace`: argument names with kinds, separated by blanks,
 * e.g. `"dirfd:dirfd path:path flags:open-flags mode:mode"`. Kinds are listed in audit/kinds.ts; plain `int`, `uint`,
 * `hex`, `address`, `fd`, `pid`, `size`, `path`, `string` need no entry there. A kind ending in `-out` is decoded at exit.
 */
export interface SyscallRow {
  readonly name: SyscallName;
  readonly signature: string;
  readonly handler: SyscallHandler;
  /** full: as Linux; partial: see note; refused: always answers the errno in the note, as documented. */
  readonly support: 'full' | 'partial' | 'refused';
  /** Caveat for partial and refused rows, one line. */
  readonly note?: string;
  /** Recorded at audit level `security` (exec, open for write, connect, bind, unlink, chmod, kill, mount …). */
  readonly security?: boolean;
  /** How the result is shown; default `int`. */
  readonly result?: 'int' | 'hex' | 'fd' | 'none';
}

export function full(
  name: SyscallName,
  signature: string,
  handler: SyscallHandler,
  extra?: Partial<SyscallRow>,
): SyscallRow {
  return { name, signature, handler, support: 'full', ...extra };
}

export function partial(
  name: SyscallName,
  signature: string,
  handler: SyscallHandler,
  note: string,
  extra?: Partial<SyscallRow>,
): SyscallRow {
  return { name, signature, handler, support: 'partial', note, ...extra };
}

/** A documented refusal: answers -errno. */
export function refused(name: SyscallName, signature: string, errno: number, note: string): SyscallRow {
  return { name, signature, handler: () => -errno, support: 'refused', note };
}
