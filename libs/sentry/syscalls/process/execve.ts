import { E2BIG, EBADF, EFAULT, EINVAL, ENAMETOOLONG, ENOENT } from '../../abi/errno.js';
import { RLIMIT_STACK } from '../../abi/resource.js';
import { execute } from '../../kernel/exec.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import type { Path } from '../../vfs/types.js';

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
/** MAX_ARG_STRLEN without the NUL; ARG_MAX's floor and ceiling (execve(2), "Limits on size of arguments"). */
const STRING_BYTES = 131_071;
const SHORTEST_AREA = 131_072;
const LARGEST_AREA = 6 * 1024 * 1024;

/** Copies a NULL-terminated array of strings in; `budget` bytes with their pointers. */
function readStrings(task: Task, address: number, budget: number): string[] | number {
  const strings: string[] = [];
  if (address === 0) return strings;
  let left = budget;
  for (let index = 0; ; index++) {
    const pointer = task.memory.readU64(address + 8 * index);
    if (Number.isNaN(pointer)) return -EFAULT;
    if (pointer === 0) return strings;
    const text = task.memory.readString(pointer, STRING_BYTES);
    if (typeof text === 'number') return text === -ENAMETOOLONG ? -E2BIG : text;
    left -= text.length + 9;
    if (left < 0) return -E2BIG;
    strings.push(text);
  }
}

/** Whether another process has the same root and working directory (CLONE_FS). */
function sharesFs(task: Task): boolean {
  let own = 0;
  for (const other of task.group.tasks) if (other.fs === task.fs) own++;
  return task.fs.references > own;
}

/** Its tracer would come by the rights of the new program (Linux's ptracer_capable). */
function isTracedUnprivileged(task: Task): boolean {
  return task.tracing !== null && !task.tracing.privileged;
}

function run(
  task: Task,
  start: Path | null,
  fileName: string,
  displayName: string,
  argvAddress: number,
  envpAddress: number,
  followLink: boolean,
): number {
  const budget = Math.min(LARGEST_AREA, Math.max(SHORTEST_AREA, task.rlimit(RLIMIT_STACK) / 4));
  const argv = readStrings(task, argvAddress, budget);
  if (typeof argv === 'number') return argv;
  const envp = readStrings(task, envpAddress, budget);
  if (typeof envp === 'number') return envp;
  // Programs count on argv[0] (Linux since 5.18).
  if (argv.length === 0) argv.push('');
  return execute(task, {
    kernel: task.kernel,
    caller: task,
    fs: task.fs,
    start,
    fileName,
    displayName,
    followLink,
    argv,
    envp,
    rlimits: task.group.rlimits,
    unsafe: sharesFs(task) || isTracedUnprivileged(task),
  });
}

/** execve implements Linux syscall execve(2). */
export function execve(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return execute(task, null);
  const path = task.pathArgument(0);
  if (typeof path === 'number') return path;
  if (path === '') return -ENOENT;
  return run(task, null, path, path, args[1], args[2], true);
}

/** execveat implements Linux syscall execveat(2). */
export function execveat(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return execute(task, null);
  const dirfd = args[0] | 0;
  const flags = args[4] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const path = task.pathArgument(1);
  if (typeof path === 'number') return path;
  if (path === '' && !(flags & AT_EMPTY_PATH)) return -ENOENT;
  let start: Path | null = null;
  let displayName = path;
  if (dirfd !== AT_FDCWD && !path.startsWith('/')) {
    const file = task.files.get(dirfd);
    if (file === null) return -EBADF;
    start = file.path;
    displayName = path === '' ? `/dev/fd/${dirfd}` : `/dev/fd/${dirfd}/${path}`;
  }
  if (path === '' && start === null) return -ENOENT;
  return run(task, start, path, displayName, args[2], args[3], !(flags & AT_SYMLINK_NOFOLLOW));
}
