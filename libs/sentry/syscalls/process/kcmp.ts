import { EBADF, EFAULT, EINVAL, ENOENT, EPERM, ESRCH } from '../../abi/errno.js';
import { EpollFile } from '../../fs/anon/epoll.js';
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

/** What an epoll of `second` watches; struct kcmp_epoll_slot at `slot`: u32 efd, tfd, toff. */
function epollTarget(task: Task, second: Task, slot: number): object | number {
  const words = [0, 4, 8].map((at) => task.memory.readU32(slot + at));
  if (words.some(Number.isNaN)) return -EFAULT;
  const [epoll, fd, index] = words;
  const file = second.files.get(epoll);
  if (!file) return -EBADF;
  if (!(file instanceof EpollFile)) return -EINVAL;
  return file.target(fd, index) ?? -ENOENT;
}

/** kcmp implements Linux syscall kcmp(2): 0 equal, 1 less, 2 greater. */
export function kcmp(task: Task, args: SyscallArguments): number {
  const first = task.kernel.tasks.get(args[0] | 0);
  const second = task.kernel.tasks.get(args[1] | 0);
  if (!first || !second) return -ESRCH;
  if (!mayInspect(task, first) || !mayInspect(task, second)) return -EPERM;
  const type = args[2] | 0;
  let one: object | null;
  let other: object | null;
  if (type === KCMP_FILE) {
    one = first.files.get(args[3] >>> 0);
    other = second.files.get(args[4] >>> 0);
    if (!one || !other) return -EBADF;
  } else if (type === KCMP_EPOLL_TFD) {
    one = first.files.get(args[3] >>> 0);
    if (!one) return -EBADF;
    const target = epollTarget(task, second, args[4]);
    if (typeof target === 'number') return target;
    other = target;
  } else {
    const part = PARTS[type - 1];
    if (part === undefined) return -EINVAL;
    one = part(first);
    other = part(second);
  }
  const difference = numberOf(one) - numberOf(other);
  return difference === 0 ? 0 : difference < 0 ? 1 : 2;
}
