/** fcntl(F_SETOWN), F_SETSIG and O_ASYNC: a signal when a description becomes ready (signal-driven I/O, fcntl(2)). */
import { EFAULT, EINVAL, ESRCH } from '../../abi/errno.js';
import { F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, O_ASYNC } from '../../abi/fcntl.js';
import { SI_KERNEL, SIGIO, SIGRTMAX } from '../../abi/signal.js';
import { mayKill } from '../../kernel/credentials.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import type { Kernel, SignalInfo, Task } from '../../kernel/types.js';
import type { CloseListener, Credentials, FileDescription } from '../../vfs/types.js';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
  WaitEntry,
  type Waiter,
} from '../../vfs/wait-queue.js';

const ALL_EVENTS = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM;

/** si_code (POLL_IN …) by event, and the si_band that goes with it. */
const BANDS: readonly (readonly [event: number, code: number, band: number])[] = [
  [POLLHUP, 6, POLLHUP | POLLERR],
  [POLLERR, 4, POLLERR],
  [POLLPRI, 5, POLLPRI | 0x80],
  [POLLIN | POLLRDNORM, 1, POLLIN | POLLRDNORM],
  [POLLOUT | POLLWRNORM, 2, POLLOUT | POLLWRNORM | 0x200],
];

/** Who hears of a description's readiness (struct fown_struct), and the wait entry that tells. */
class AsyncOwner implements Waiter, CloseListener {
  kind: number = F_OWNER_PID;
  /** Process, process group or thread; 0 = nobody. */
  id = 0;
  /** F_SETSIG: 0 = SIGIO without details. */
  signal = 0;
  credentials: Credentials | null = null;
  fd = -1;
  nextCloseListener: CloseListener | null = null;
  private readonly entry = new WaitEntry(this);

  constructor(private readonly kernel: Kernel) {}

  listen(file: FileDescription, fd: number): void {
    this.fd = fd;
    if (this.entry.queue === null) file.waitQueue.add(this.entry, ALL_EVENTS);
  }

  stop(): void {
    this.entry.queue?.remove(this.entry);
  }

  onClose(): void {
    this.stop();
  }

  onWake(_entry: WaitEntry, events: number): void {
    const band = BANDS.find(([event]) => event & events);
    if (!band || this.id === 0) return;
    for (const target of this.targets()) {
      if (this.credentials && this.credentials.euid !== 0 && !mayKill(this.credentials, target.credentials)) continue;
      target.send(this.info(band[1], band[2]));
    }
  }

  private info(code: number, band: number): SignalInfo {
    if (this.signal === 0) return signalInfo(SIGIO, SI_KERNEL);
    const info = signalInfo(this.signal, code);
    info.value = band;
    info.status = this.fd;
    return info;
  }

  private *targets(): Generator<{ credentials: Credentials; send: (info: SignalInfo) => void }> {
    if (this.kind === F_OWNER_TID) {
      const task = this.kernel.findTask(this.id);
      if (task) yield { credentials: task.credentials, send: (info) => task.sendSignal(info) };
      return;
    }
    for (const group of this.kernel.groups.values()) {
      if ((this.kind === F_OWNER_PID ? group.pid : group.processGroup.pgid) !== this.id) continue;
      if (group.state === 'zombie' || group.state === 'dead') continue;
      yield { credentials: group.leader.credentials, send: (info) => group.sendSignal(info) };
    }
  }

  exists(): boolean {
    for (const _target of this.targets()) return true;
    return false;
  }
}

const owners = new WeakMap<FileDescription, AsyncOwner>();

function ownerOf(task: Task, file: FileDescription): AsyncOwner {
  let owner = owners.get(file);
  if (!owner) {
    owner = new AsyncOwner(task.kernel);
    owners.set(file, owner);
    owner.nextCloseListener = file.closeListeners;
    file.closeListeners = owner;
  }
  return owner;
}

function assign(task: Task, file: FileDescription, kind: number, id: number): number {
  const probe = new AsyncOwner(task.kernel);
  probe.kind = kind;
  probe.id = id;
  if (id !== 0 && !probe.exists()) return -ESRCH;
  const owner = ownerOf(task, file);
  owner.kind = kind;
  owner.id = id;
  owner.credentials = { ...task.credentials };
  return 0;
}

/** F_SETOWN: a process, or a process group as a negative number. */
export function setOwner(task: Task, file: FileDescription, argument: number): number {
  const id = argument | 0;
  if (id === -0x80000000) return -EINVAL;
  return id < 0 ? assign(task, file, F_OWNER_PGRP, -id) : assign(task, file, F_OWNER_PID, id);
}

/** F_GETOWN. */
export function getOwner(file: FileDescription): number {
  const owner = owners.get(file);
  if (!owner?.exists()) return 0;
  return owner.kind === F_OWNER_PGRP ? -owner.id : owner.id;
}

/** F_SETOWN_EX: struct f_owner_ex. */
export function setOwnerEx(task: Task, file: FileDescription, address: number): number {
  const view = task.memory.readStruct(address, 8);
  if (view === null) return -EFAULT;
  const kind = view.getInt32(0, true);
  if (kind !== F_OWNER_TID && kind !== F_OWNER_PID && kind !== F_OWNER_PGRP) return -EINVAL;
  return assign(task, file, kind, view.getInt32(4, true));
}

/** F_GETOWN_EX. */
export function getOwnerEx(task: Task, file: FileDescription, address: number): number {
  const owner = owners.get(file);
  const view = task.memory.scratch(8);
  view.setInt32(0, owner?.kind ?? F_OWNER_TID, true);
  view.setInt32(4, owner?.exists() ? owner.id : 0, true);
  return task.memory.writeStruct(address, 8) ? 0 : -EFAULT;
}

/** F_SETSIG. */
export function setOwnerSignal(task: Task, file: FileDescription, signal: number): number {
  if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
  ownerOf(task, file).signal = signal;
  return 0;
}

/** F_GETSIG. */
export function getOwnerSignal(file: FileDescription): number {
  return owners.get(file)?.signal ?? 0;
}

/** After F_SETFL or FIOASYNC: listens, or stops to. */
export function updateAsync(task: Task, file: FileDescription, fd: number): void {
  if ((file.flags & O_ASYNC) === 0) owners.get(file)?.stop();
  else if (file.pollable) ownerOf(task, file).listen(file, fd);
}
