import type { MemoryManager } from '../mm/types.js';
import type { GuestAddress } from '../platform/platform.js';
import type { Caller, Credentials, FsContext, Path } from '../vfs/types.js';
import type { Kernel, RLimit } from './types.js';

/** What execve(2) asks of the loader. Nothing of the caller changes until the kernel takes the result over. */
export interface LoadRequest {
  readonly kernel: Kernel;
  /** Whose permissions count. */
  readonly caller: Caller;
  /** Root and working directory that names are walked from. */
  readonly fs: FsContext;
  /** Directory that a relative name starts from (execveat); null = the working directory. */
  readonly start: Path | null;
  /** Byte string; "" names `start` itself (AT_EMPTY_PATH). */
  readonly fileName: string;
  /** AT_EXECFN and the script name a #! interpreter gets ("/dev/fd/N/..." for execveat). */
  readonly displayName: string;
  /** False for AT_SYMLINK_NOFOLLOW: -ELOOP when the name is a symbolic link. */
  readonly followLink: boolean;
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  /** RLIMIT_* of the process: the loader sets `memory.limits` and bounds the argument area. */
  readonly rlimits: readonly RLimit[];
  /** Others share root and working directory, or trace it without the right to: set-user-ID bits have no effect. */
  readonly unsafe: boolean;
}

/** A new address space, ready to run. The kernel owns one reference of `memory`. */
export interface LoadedProgram {
  readonly memory: MemoryManager;
  readonly entry: GuestAddress;
  readonly stackPointer: GuestAddress;
  readonly executable: Path;
  /** Whom it runs as. */
  readonly credentials: Credentials;
  /** AT_SECURE. */
  readonly secure: boolean;
  /** The caller may read the file: if not, nobody may look into the process either. */
  readonly readable: boolean;
  /** At most 15 bytes. */
  readonly comm: string;
}

/** -ENOENT, -EACCES, -ENOEXEC, -E2BIG, -ELOOP, -ENOMEM … as execve(2). Implemented in kernel/loader. */
export type ProgramLoader = (request: LoadRequest) => LoadedProgram | number;
