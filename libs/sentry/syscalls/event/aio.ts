/** io_setup, io_destroy, io_getevents, io_pgetevents, io_cancel. What they wait for is made in aio-submit.ts. */
import { AIO_CONTEXT_MAX, AIO_MAX_NR, IO_EVENT_BYTES, Iocb, KIOCB_KEY } from '../../abi/aio.js';
import { EAGAIN, EFAULT, EINPROGRESS, EINTR, EINVAL } from '../../abi/errno.js';
import { MAP_ANONYMOUS, MAP_PRIVATE } from '../../abi/mman.js';
import {
  AioContext,
  type AioEvent,
  addAioContext,
  aioContext,
  aioReserved,
  removeAioContext,
} from '../../kernel/aio.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { type Nanoseconds, PAGE_SIZE, PROT_READ, PROT_WRITE } from '../../platform/platform.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { applySignalMask, readTimespec } from './support.js';

/** io_setup implements Linux syscall io_setup(2). */
export function ioSetup(task: Task, args: SyscallArguments): number {
  const capacity = args[0] >>> 0;
  const before = task.memory.readU64(args[1]);
  if (Number.isNaN(before)) return -EFAULT;
  if (before !== 0 || capacity === 0 || capacity > AIO_CONTEXT_MAX) return -EINVAL;
  if (aioReserved(task.kernel) + capacity > AIO_MAX_NR) return -EAGAIN;
  // The C library looks for a ring where the context is, and asks the kernel where it finds none.
  const address = task.memory.mmap({
    address: 0,
    length: PAGE_SIZE,
    protection: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS,
    object: null,
    offset: 0,
    maxProtection: PROT_READ | PROT_WRITE,
  });
  if (address < 0) return address;
  if (!task.memory.writeU64(args[1], address)) {
    task.memory.munmap(address, PAGE_SIZE);
    return -EFAULT;
  }
  addAioContext(task.memory, new AioContext(address, capacity));
  return 0;
}

/** io_destroy implements Linux syscall io_destroy(2). */
export function ioDestroy(task: Task, args: SyscallArguments): number {
  const context = aioContext(task.memory, args[0]);
  if (!context) return -EINVAL;
  removeAioContext(task.memory, context);
  task.memory.munmap(context.address, PAGE_SIZE);
  return 0;
}

/** io_cancel implements Linux syscall io_cancel(2): only polls are ever under way; their events come as all do. */
export function ioCancel(task: Task, args: SyscallArguments): number {
  const key = task.memory.readU32(args[1] + Iocb.Key);
  if (Number.isNaN(key)) return -EFAULT;
  const poll = key === KIOCB_KEY ? aioContext(task.memory, args[0])?.polls.get(args[1]) : undefined;
  if (!poll) return -EINVAL;
  poll.finish(0);
  return -EINPROGRESS;
}

/** What io_getevents(2) has done so far while it waits. */
class EventWait {
  taken = 0;
  constructor(
    readonly context: AioContext,
    readonly deadline: Nanoseconds,
  ) {}
}

function writeEvent(task: Task, address: number, event: AioEvent): boolean {
  const out = task.memory.scratch(IO_EVENT_BYTES);
  out.setUint32(0, event.dataLow, true);
  out.setUint32(4, event.dataHigh, true);
  out.setUint32(8, event.iocb, true);
  out.setUint32(12, Math.floor(event.iocb / 0x1_0000_0000), true);
  out.setInt32(16, event.result, true);
  out.setInt32(20, event.result < 0 ? -1 : 0, true);
  return task.memory.writeStruct(address, IO_EVENT_BYTES);
}

/** Copies events out while there are some. False on EFAULT. */
function takeEvents(task: Task, wait: EventWait, address: number, most: number): boolean {
  const { events } = wait.context;
  while (wait.taken < most && events.length > 0) {
    if (!writeEvent(task, address + wait.taken * IO_EVENT_BYTES, events[0])) return false;
    events.shift();
    wait.taken++;
  }
  return true;
}

function beginWait(task: Task, args: SyscallArguments): EventWait | number {
  const [address, least, most, , timeoutAddress] = args;
  let timeout = Number.POSITIVE_INFINITY;
  if (timeoutAddress !== 0) {
    timeout = readTimespec(task, timeoutAddress);
    if (timeout < 0) return timeout;
  }
  const context = aioContext(task.memory, address);
  if (!context || least < 0 || most < 0 || least > most) return -EINVAL;
  return new EventWait(context, timeout === 0 ? 0 : task.kernel.clock.monotonic() + timeout);
}

/** io_getevents implements Linux syscall io_getevents(2). */
export function ioGetevents(task: Task, args: SyscallArguments): number {
  const [, least, most, events] = args;
  const wait = task.state instanceof EventWait ? task.state : beginWait(task, args);
  if (typeof wait === 'number') return wait;
  if (wait.context.dead) return wait.taken > 0 ? wait.taken : -EINVAL;
  if (!takeEvents(task, wait, events, most)) return wait.taken > 0 ? wait.taken : -EFAULT;
  if (wait.taken >= least || wait.deadline <= task.kernel.clock.monotonic()) return wait.taken;
  task.setState(wait);
  task.waitOn(wait.context.queue, POLLIN);
  return task.park(wait.deadline, wait.taken > 0 ? wait.taken : -EINTR);
}

/** io_pgetevents implements Linux syscall io_pgetevents(2): with a signal mask, as pselect6 takes it. */
export function ioPgetevents(task: Task, args: SyscallArguments): number {
  if (args[5] !== 0) {
    const mask = task.memory.readU64(args[5]);
    const size = task.memory.readU64(args[5] + 8);
    if (Number.isNaN(mask) || Number.isNaN(size)) return -EFAULT;
    const masked = applySignalMask(task, mask, size);
    if (masked < 0) return masked;
  }
  return ioGetevents(task, args);
}
