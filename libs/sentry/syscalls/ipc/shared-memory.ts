import { CAP_IPC_LOCK } from '../../abi/capability.js';
import { EFAULT, EINVAL, ENOMEM, EPERM } from '../../abi/errno.js';
import * as IPC from '../../abi/ipc.js';
import { MAP_FIXED, MAP_SHARED } from '../../abi/mman.js';
import { RLIMIT_MEMLOCK } from '../../abi/resource.js';
import { obtain } from '../../kernel/ipc/identifiers.js';
import type { SharedMemorySegment } from '../../kernel/ipc/shared-memory.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../platform/platform.js';
import { readOwner, setU64, writePermissions } from './support.js';

const READ_ALL = 0o444;
const WRITE_ALL = 0o222;
const EXECUTE_ALL = 0o111;

/** shmget implements Linux syscall shmget(2). */
export function shmget(task: Task, args: SyscallArguments): number {
  const key = args[0] | 0;
  const size = args[1];
  const flags = args[2] | 0;
  const memory = task.kernel.ipc.sharedMemory;
  return memory.table.get(
    key,
    flags,
    task.credentials,
    (segment) => (size < 0 || segment.length < size ? -EINVAL : 0),
    () => {
      // A size is unsigned: "negative" is more than SHMMAX only above 2^64 - 2^24.
      if (size === 0 || (size < 0 && size >= -16777216)) return -EINVAL;
      if ((flags & IPC.SHM_HUGETLB) !== 0) return task.capable(CAP_IPC_LOCK) ? -ENOMEM : -EPERM;
      if (size < 0) return -ENOMEM;
      return memory.create(key, flags & 0o777, task.credentials, size, task.group.pid);
    },
  );
}

/** shmat implements Linux syscall shmat(2). */
export function shmat(task: Task, args: SyscallArguments): number {
  const flags = args[2] | 0;
  let address = args[1];
  if ((args[0] | 0) < 0) return -EINVAL;
  if (address !== 0) {
    const over = ((address % PAGE_SIZE) + PAGE_SIZE) % PAGE_SIZE;
    if (over !== 0) {
      if ((flags & IPC.SHM_RND) === 0) return -EINVAL;
      address -= over;
      if (address === 0 && (flags & IPC.SHM_REMAP) !== 0) return -EINVAL;
    }
  } else if ((flags & IPC.SHM_REMAP) !== 0) {
    return -EINVAL;
  }
  let protection = PROT_READ;
  let wanted = READ_ALL;
  if ((flags & IPC.SHM_RDONLY) === 0) {
    protection |= PROT_WRITE;
    wanted |= WRITE_ALL;
  }
  if ((flags & IPC.SHM_EXEC) !== 0) {
    protection |= PROT_EXEC;
    wanted |= EXECUTE_ALL;
  }
  const segment = obtain(task.kernel.ipc.sharedMemory.table, args[0] | 0, wanted, task.credentials);
  if (typeof segment === 'number') return segment;
  return attach(task, segment, address, protection, (flags & IPC.SHM_REMAP) !== 0);
}

function attach(task: Task, segment: SharedMemorySegment, address: number, protection: number, remap: boolean): number {
  const { memory } = task;
  const length = segment.pages.size();
  if (address !== 0 && !remap) {
    if (address < 0 || address + length > memory.space.maxAddress) return -ENOMEM;
    let taken = false;
    memory.regions((region) => {
      if (region.start < address + length && region.end > address) taken = true;
    });
    if (taken) return -EINVAL;
  }
  return memory.mmap({
    address,
    length,
    protection,
    flags: MAP_SHARED | (address !== 0 ? MAP_FIXED : 0),
    object: segment.pages,
    offset: 0,
    maxProtection: PROT_READ | PROT_EXEC | (protection & PROT_WRITE),
  });
}

/** shmdt implements Linux syscall shmdt(2): all that is left of the attachment that began at the address. */
export function shmdt(task: Task, args: SyscallArguments): number {
  const address = args[0];
  if (address % PAGE_SIZE !== 0 || address < 0) return -EINVAL;
  return task.memory.detachAll(address, task.kernel.ipc.sharedMemory.isSegment) ? 0 : -EINVAL;
}

function writeStatus(task: Task, address: number, segment: SharedMemorySegment): boolean {
  const view = task.memory.scratch(IPC.SHMID_DS_BYTES);
  writePermissions(view, segment);
  setU64(view, 48, segment.length);
  setU64(view, 56, segment.attachTime);
  setU64(view, 64, segment.detachTime);
  setU64(view, 72, segment.changeTime);
  view.setInt32(80, segment.creatorPid, true);
  view.setInt32(84, segment.lastPid, true);
  setU64(view, 88, segment.attached);
  return task.memory.writeStruct(address, IPC.SHMID_DS_BYTES);
}

function writeLimits(task: Task, address: number): number {
  const view = task.memory.scratch(IPC.SHMINFO_BYTES);
  view.setUint32(0, IPC.SHMMAX_LOW, true);
  view.setUint32(4, IPC.SHMMAX_HIGH, true);
  setU64(view, 8, 1);
  setU64(view, 16, IPC.SHMMNI);
  setU64(view, 24, IPC.SHMMNI);
  view.setUint32(32, IPC.SHMMAX_LOW, true);
  view.setUint32(36, IPC.SHMMAX_HIGH, true);
  return task.memory.writeStruct(address, IPC.SHMINFO_BYTES) ? task.kernel.ipc.sharedMemory.table.highest() : -EFAULT;
}

function writeUsage(task: Task, address: number): number {
  const memory = task.kernel.ipc.sharedMemory;
  const total = memory.total();
  const view = task.memory.scratch(IPC.SHM_INFO_BYTES);
  view.setInt32(0, memory.table.inUse, true);
  setU64(view, 8, total.size / PAGE_SIZE);
  setU64(view, 16, total.resident / PAGE_SIZE);
  return task.memory.writeStruct(address, IPC.SHM_INFO_BYTES) ? memory.table.highest() : -EFAULT;
}

function setLocked(task: Task, id: number, locked: boolean): number {
  const segment = task.kernel.ipc.sharedMemory.table.find(id);
  if (!segment) return -EINVAL;
  if (!task.capable(CAP_IPC_LOCK)) {
    const { euid } = task.credentials;
    if (euid !== segment.uid && euid !== segment.cuid) return -EPERM;
    if (locked && task.rlimit(RLIMIT_MEMLOCK) === 0) return -EPERM;
    if (locked && segment.length > task.rlimit(RLIMIT_MEMLOCK)) return -ENOMEM;
  }
  segment.mode = locked ? segment.mode | IPC.SHM_LOCKED : segment.mode & ~IPC.SHM_LOCKED;
  return 0;
}

/** shmctl implements Linux syscall shmctl(2). */
export function shmctl(task: Task, args: SyscallArguments): number {
  const id = args[0] | 0;
  const command = args[1] | 0;
  const address = args[2];
  if (id < 0 || command < 0) return -EINVAL;
  const memory = task.kernel.ipc.sharedMemory;
  const { credentials } = task;
  switch (command) {
    case IPC.IPC_INFO:
      return writeLimits(task, address);
    case IPC.SHM_INFO:
      return writeUsage(task, address);
    case IPC.SHM_STAT:
    case IPC.SHM_STAT_ANY:
    case IPC.IPC_STAT: {
      const segment = command === IPC.IPC_STAT ? memory.table.find(id) : memory.table.at(id);
      if (!segment) return -EINVAL;
      const refused = command === IPC.SHM_STAT_ANY ? 0 : segment.access(READ_ALL, credentials);
      if (refused) return refused;
      if (!writeStatus(task, address, segment)) return -EFAULT;
      return command === IPC.IPC_STAT ? 0 : segment.id;
    }
    case IPC.IPC_SET: {
      const view = task.memory.readStruct(address, IPC.SHMID_DS_BYTES);
      if (view === null) return -EFAULT;
      const { uid, gid, mode } = readOwner(view);
      const segment = memory.table.find(id);
      if (!segment) return -EINVAL;
      const refused = segment.mayControl(credentials);
      if (refused) return refused;
      segment.setOwner(uid, gid, mode);
      segment.changeTime = task.kernel.clock.realtimeSeconds();
      return 0;
    }
    case IPC.IPC_RMID: {
      const segment = memory.table.find(id);
      if (!segment) return -EINVAL;
      const refused = segment.mayControl(credentials);
      if (refused) return refused;
      memory.remove(segment);
      return 0;
    }
    case IPC.SHM_LOCK:
    case IPC.SHM_UNLOCK:
      return setLocked(task, id, command === IPC.SHM_LOCK);
    default:
      return -EINVAL;
  }
}
