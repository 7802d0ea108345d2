import { E2BIG, EAGAIN, EFAULT, EFBIG, EINTR, EINVAL, ENOSPC, ERANGE } from '../../abi/errno.js';
import * as IPC from '../../abi/ipc.js';
import { obtain } from '../../kernel/ipc/identifiers.js';
import { type SemaphoreOperation, type SemaphoreSet, SemaphoreWaiter, UndoList } from '../../kernel/ipc/semaphores.js';
import { awaitTurn } from '../../kernel/ipc/waiter.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { readTimespec } from '../time/support.js';
import { readOwner, setU64, writePermissions } from './support.js';

const READ_ALL = 0o444;
const WRITE_ALL = 0o222;

/** semget implements Linux syscall semget(2). */
export function semget(task: Task, args: SyscallArguments): number {
  const key = args[0] | 0;
  const count = args[1] | 0;
  const flags = args[2] | 0;
  if (count < 0 || count > IPC.SEMMSL) return -EINVAL;
  const { semaphores } = task.kernel.ipc;
  return semaphores.table.get(
    key,
    flags,
    task.credentials,
    (set) => (count > set.values.length ? -EINVAL : 0),
    () => {
      if (count === 0) return -EINVAL;
      if (!semaphores.hasRoomFor(count)) return -ENOSPC;
      return semaphores.create(key, flags & 0o777, task.credentials, count);
    },
  );
}

interface SemaphoreWait {
  readonly set: SemaphoreSet;
  readonly waiter: SemaphoreWaiter;
  readonly deadline: number;
}

function readOperations(task: Task, address: number, count: number): SemaphoreOperation[] | null {
  const view = task.memory.readStruct(address, count * 6);
  if (view === null) return null;
  const operations: SemaphoreOperation[] = [];
  for (let at = 0; at < count * 6; at += 6) {
    operations.push({
      index: view.getUint16(at, true),
      change: view.getInt16(at + 2, true),
      flags: view.getInt16(at + 4, true),
    });
  }
  return operations;
}

/** `span`: nanoseconds to wait at most. */
function operate(task: Task, args: SyscallArguments, span: number): number {
  const id = args[0] | 0;
  const count = args[2] >>> 0;
  if (count > IPC.SEMOPM) return -E2BIG;
  if (count < 1) return -EINVAL;
  const operations = readOperations(task, args[1], count);
  if (operations === null) return -EFAULT;
  const set = task.kernel.ipc.semaphores.table.find(id);
  if (!set) return -EINVAL;
  if (operations.some(({ index }) => index >= set.values.length)) return -EFBIG;
  const alters = operations.some(({ change }) => change !== 0);
  const refused = set.access(alters ? WRITE_ALL : READ_ALL, task.credentials);
  if (refused) return refused;
  let adjustments: Int32Array | null = null;
  if (operations.some(({ flags }) => (flags & IPC.SEM_UNDO) !== 0)) {
    task.semaphoreUndo ??= new UndoList();
    adjustments = task.semaphoreUndo.for(set);
  }
  const waiter = new SemaphoreWaiter(task, operations, alters, task.group.pid, adjustments);
  const result = set.attempt(waiter);
  if (result === 0) set.touched(alters);
  if (result <= 0) return result;
  set.waiting.push(waiter);
  const state: SemaphoreWait = { set, waiter, deadline: task.kernel.clock.monotonic() + span };
  task.setState(state);
  return awaitOperation(state);
}

function awaitOperation({ set, waiter, deadline }: SemaphoreWait): number {
  return awaitTurn(waiter, set.waiting, deadline, -EAGAIN, -EINTR);
}

/** semop implements Linux syscall semop(2). */
export function semop(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return awaitOperation(task.state as SemaphoreWait);
  return operate(task, args, Number.POSITIVE_INFINITY);
}

/** semtimedop implements Linux syscall semtimedop(2): the time-out is a span. */
export function semtimedop(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return awaitOperation(task.state as SemaphoreWait);
  const span = args[3] === 0 ? Number.POSITIVE_INFINITY : readTimespec(task, args[3]);
  return span < 0 ? span : operate(task, args, span);
}

function writeStatus(task: Task, address: number, set: SemaphoreSet): boolean {
  const view = task.memory.scratch(IPC.SEMID_DS_BYTES);
  writePermissions(view, set);
  setU64(view, 48, set.operationTime);
  setU64(view, 64, set.changeTime);
  setU64(view, 80, set.values.length);
  return task.memory.writeStruct(address, IPC.SEMID_DS_BYTES);
}

function writeInfo(task: Task, address: number, usage: boolean): number {
  const { semaphores } = task.kernel.ipc;
  const view = task.memory.scratch(IPC.SEMINFO_BYTES);
  const fields = [
    IPC.SEMMNS, // semmap
    IPC.SEMMNI,
    IPC.SEMMNS,
    IPC.SEMMNS, // semmnu
    IPC.SEMMSL,
    IPC.SEMOPM,
    IPC.SEMOPM, // semume
    usage ? semaphores.table.inUse : 20, // semusz
    IPC.SEMVMX,
    usage ? semaphores.used : IPC.SEMAEM,
  ];
  for (const [index, value] of fields.entries()) view.setInt32(index * 4, value, true);
  return task.memory.writeStruct(address, IPC.SEMINFO_BYTES) ? semaphores.table.highest() : -EFAULT;
}

function setAll(task: Task, set: SemaphoreSet, address: number): number {
  const count = set.values.length;
  const bytes = new Uint8Array(count * 2);
  if (task.memory.copyIn(address, bytes, 0, bytes.length) < bytes.length) return -EFAULT;
  const values = new Uint16Array(bytes.buffer);
  if (values.some((value) => value > IPC.SEMVMX)) return -ERANGE;
  set.values.set(values);
  set.pids.fill(task.group.pid);
  set.forgetAdjustments(0, count);
  set.changeTime = task.kernel.clock.realtimeSeconds();
  set.serve();
  return 0;
}

function getAll(task: Task, set: SemaphoreSet, address: number): number {
  const bytes = new Uint8Array(Uint16Array.from(set.values).buffer);
  return task.memory.copyOut(address, bytes, 0, bytes.length) === bytes.length ? 0 : -EFAULT;
}

function setValue(task: Task, id: number, index: number, value: number): number {
  if (value > IPC.SEMVMX || value < 0) return -ERANGE;
  const set = task.kernel.ipc.semaphores.table.find(id);
  if (!set || index < 0 || index >= set.values.length) return -EINVAL;
  const refused = set.access(WRITE_ALL, task.credentials);
  if (refused) return refused;
  set.values[index] = value;
  set.pids[index] = task.group.pid;
  set.forgetAdjustments(index, 1);
  set.changeTime = task.kernel.clock.realtimeSeconds();
  set.serve();
  return 0;
}

/** GETALL, SETALL and the commands that ask about one semaphore. */
function ofSet(task: Task, id: number, index: number, command: number, address: number): number {
  const wanted = command === IPC.SETALL ? WRITE_ALL : READ_ALL;
  const set = obtain(task.kernel.ipc.semaphores.table, id, wanted, task.credentials);
  if (typeof set === 'number') return set;
  if (command === IPC.GETALL) return getAll(task, set, address);
  if (command === IPC.SETALL) return setAll(task, set, address);
  if (index < 0 || index >= set.values.length) return -EINVAL;
  switch (command) {
    case IPC.GETVAL:
      return set.values[index];
    case IPC.GETPID:
      return set.pids[index];
    case IPC.GETNCNT:
      return set.countWaiting(index, false);
    default:
      return set.countWaiting(index, true);
  }
}

/** semctl implements Linux syscall semctl(2). */
export function semctl(task: Task, args: SyscallArguments): number {
  const id = args[0] | 0;
  const index = args[1] | 0;
  const command = args[2] | 0;
  const argument = args[3];
  if (id < 0) return -EINVAL;
  const { semaphores } = task.kernel.ipc;
  const { credentials } = task;
  switch (command) {
    case IPC.IPC_INFO:
    case IPC.SEM_INFO:
      return writeInfo(task, argument, command === IPC.SEM_INFO);
    case IPC.IPC_STAT:
    case IPC.SEM_STAT:
    case IPC.SEM_STAT_ANY: {
      const set = command === IPC.IPC_STAT ? semaphores.table.find(id) : semaphores.table.at(id);
      if (!set) return -EINVAL;
      const refused = command === IPC.SEM_STAT_ANY ? 0 : set.access(READ_ALL, credentials);
      if (refused) return refused;
      if (!writeStatus(task, argument, set)) return -EFAULT;
      return command === IPC.IPC_STAT ? 0 : set.id;
    }
    case IPC.GETALL:
    case IPC.GETVAL:
    case IPC.GETPID:
    case IPC.GETNCNT:
    case IPC.GETZCNT:
    case IPC.SETALL:
      return ofSet(task, id, index, command, argument);
    case IPC.SETVAL:
      return setValue(task, id, index, argument | 0);
    case IPC.IPC_SET: {
      const view = task.memory.readStruct(argument, IPC.SEMID_DS_BYTES);
      if (view === null) return -EFAULT;
      const { uid, gid, mode } = readOwner(view);
      const set = semaphores.table.find(id);
      if (!set) return -EINVAL;
      const refused = set.mayControl(credentials);
      if (refused) return refused;
      set.setOwner(uid, gid, mode);
      set.changeTime = task.kernel.clock.realtimeSeconds();
      return 0;
    }
    case IPC.IPC_RMID: {
      const set = semaphores.table.find(id);
      if (!set) return -EINVAL;
      const refused = set.mayControl(credentials);
      if (refused) return refused;
      semaphores.remove(set);
      return 0;
    }
    default:
      return -EINVAL;
  }
}
