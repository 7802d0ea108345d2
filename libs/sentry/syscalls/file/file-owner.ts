/** fcntl(2) on signals: who gets SIGIO and SIGURG for an open file, which signal, and changes in a directory. */
import { EFAULT, EINVAL, ENOTDIR, ESRCH } from '../../abi/errno.js';
import { F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, O_ASYNC } from '../../abi/fcntl.js';
import { SIGRTMAX } from '../../abi/signal.js';
import { DirectoryNotification } from '../../fs/anon/dnotify.js';
import { IoOwner, type OwnerKind } from '../../kernel/signals/io-owner.js';
import type { Task } from '../../kernel/task.js';
import { isDirectory } from '../../vfs/path-walk.js';
import type { FileDescription } from '../../vfs/types.js';

const KINDS: Readonly<Record<number, OwnerKind>> = {
  [F_OWNER_TID]: 'thread',
  [F_OWNER_PID]: 'process',
  [F_OWNER_PGRP]: 'group',
};
const INT_MIN = -0x80000000;

function exists(task: Task, kind: OwnerKind, id: number): boolean {
  if (kind === 'thread') return task.kernel.tasks.has(id);
  if (kind === 'process') return task.kernel.groups.has(id);
  for (const group of task.kernel.groups.values()) if (group.processGroup.pgid === id) return true;
  return false;
}

function setTo(task: Task, file: FileDescription, kind: OwnerKind, id: number): number {
  if (id !== 0 && !exists(task, kind, id)) return -ESRCH;
  IoOwner.of(task.kernel, file).set(kind, id, task.credentials);
  return 0;
}

/** F_SETOWN: a process, or minus a process group; 0 nobody. -ESRCH. */
export function setOwner(task: Task, file: FileDescription, argument: number): number {
  const id = argument | 0;
  if (id === INT_MIN) return -EINVAL;
  return setTo(task, file, id < 0 ? 'group' : 'process', Math.abs(id));
}

/** F_GETOWN: as F_SETOWN takes it; 0 when the owner is gone. */
export function getOwner(task: Task, file: FileDescription): number {
  const owner = IoOwner.find(file);
  if (!owner || owner.id === 0 || !exists(task, owner.kind, owner.id)) return 0;
  return owner.kind === 'group' ? -owner.id : owner.id;
}

/** F_SETOWN_EX: struct f_owner_ex. */
export function setOwnerEx(task: Task, file: FileDescription, address: number): number {
  const type = task.memory.readI32(address);
  const id = task.memory.readI32(address + 4);
  if (Number.isNaN(type) || Number.isNaN(id)) return -EFAULT;
  const kind = KINDS[type];
  if (!kind) return -EINVAL;
  return setTo(task, file, kind, id);
}

/** F_GETOWN_EX. */
export function getOwnerEx(task: Task, file: FileDescription, address: number): number {
  const owner = IoOwner.find(file);
  const kind = owner?.kind ?? 'thread';
  const id = owner && owner.id !== 0 && exists(task, owner.kind, owner.id) ? owner.id : 0;
  const type = Number(Object.keys(KINDS).find((key) => KINDS[Number(key)] === kind));
  if (!task.memory.writeU32(address, type)) return -EFAULT;
  return task.memory.writeU32(address + 4, id) ? 0 : -EFAULT;
}

/** F_SETSIG: 0 means SIGIO without particulars. */
export function setSignal(task: Task, file: FileDescription, signal: number): number {
  if (!(signal >= 0 && signal <= SIGRTMAX)) return -EINVAL;
  IoOwner.of(task.kernel, file).signal = signal;
  return 0;
}

export const getSignal = (file: FileDescription): number => IoOwner.find(file)?.signal ?? 0;

/** F_SETFL, FIOASYNC: sets the status flags; `fd` is what signals will name from now on. */
export function setStatusFlags(task: Task, file: FileDescription, fd: number, flags: number): number {
  const before = file.flags & O_ASYNC;
  // Files that are always ready have no O_ASYNC to set.
  const result = file.setFlags(file.pollable ? flags : flags & ~O_ASYNC);
  if (result < 0 || (file.flags & O_ASYNC) === before) return result;
  const owner = IoOwner.of(task.kernel, file);
  if (!before) owner.fd = fd;
  owner.listen();
  return result;
}

/** F_NOTIFY: DN_* bits. -ENOTDIR. */
export function notifyDirectory(task: Task, file: FileDescription, fd: number, mask: number): number {
  if (!isDirectory(file.inode)) return -ENOTDIR;
  const owner = IoOwner.of(task.kernel, file);
  if (owner.id === 0) owner.set('process', task.group.pid, task.credentials);
  owner.fd = fd;
  DirectoryNotification.want(file, owner, mask);
  return 0;
}
