import { EBADF, EINVAL, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/errno.js';
import { mayInspect } from '../../kernel/access.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

const KCMP_FILE = 0;
const KCMP_EPOLL_TFD = 7;

/** Linux orders the objects' scrambled addresses; ours have numbers in the order in which they were first asked about. */
const numbers = new WeakMap<object, number>();
let last = 0;

function numberOf(object: object | null): number {
  if (object === null) return 0;
  const known = numbers.get(object);
  if (known !== undefined) return known;
  numbers.set(object, ++last);
  return last;
}

/** By type, from KCMP_VM on: what of a task is compared. A null is the same for all. */
const PARTS: readonly ((task: Task) => object | null)[] = [
  (task) => task.memory,
  (task) => task.files,
  (task) => task.fs,
  (task) => task.group.handlers,
  () => null, // KCMP_IO: no task has an I/O context of its own
  (task) => task.semaphoreUndo,
];

/** kcmp implements Linux syscall kcmp(2): 0 equal, 1 less, 2 greater. KCMP_EPOLL_TFD answers EOPNOTSUPP. */
export function kcmp(task: Task, args: SyscallArguments): number {
  const first = task.kernel.tasks.get(args[0] | 0);
  const second = task.kernel.tasks.get(args[1] | 0);
  if (!first || !second) return -ESRCH;
  if (!mayInspect(task, first) || !mayInspect(task, second)) return -EPERM;
  const type = args[2] | 0;
  if (type === KCMP_EPOLL_TFD) return -EOPNOTSUPP;
  let one: object | null;
  let other: object | null;
  if (type === KCMP_FILE) {
    one = first.files.get(args[3] >>> 0);
    other = second.files.get(args[4] >>> 0);
    if (!one || !other) return -EBADF;
  } else {
    const part = PARTS[type - 1];
    if (part === undefined) return -EINVAL;
    one = part(first);
    other = part(second);
  }
  const difference = numberOf(one) - numberOf(other);
  return difference === 0 ? 0 : difference < 0 ? 1 : 2;
}
