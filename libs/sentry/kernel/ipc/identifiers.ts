import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EACCES, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM } from '../../abi/errno.js';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE } from '../../abi/ipc.js';
import { hasCapability } from '../../vfs/permissions.js';
import type { Credentials } from '../../vfs/types.js';

/** Identifiers are sequence * 32768 + slot, so that a stale one of a slot in use again is noticed. */
const SLOTS = 32768;
const SEQUENCES = 65536;
/** Slots are handed out in a circle of at least this many, as Linux does since 5.0. */
const SHORTEST_CYCLE = 64;

/** What shared memory segments, semaphore sets and message queues have in common (struct kern_ipc_perm). */
export abstract class IpcObject {
  id = -1;
  sequence = 0;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  /** Taken out of its table by IPC_RMID: who still waits for it gets EIDRM. */
  removed = false;

  constructor(
    /** IPC_PRIVATE also once a segment is marked for removal. */
    public key: number,
    public mode: number,
    credentials: Credentials,
  ) {
    this.uid = credentials.euid;
    this.gid = credentials.egid;
    this.cuid = credentials.euid;
    this.cgid = credentials.egid;
  }

  /** ipcperms(): 0 or -EACCES. `wanted` may hold bits of all three classes; its class does not matter. */
  access(wanted: number, credentials: Credentials): number {
    const requested = (wanted >> 6) | (wanted >> 3) | wanted;
    let granted = this.mode;
    if (credentials.euid === this.cuid || credentials.euid === this.uid) granted >>= 6;
    else if (inGroup(credentials, this.cgid) || inGroup(credentials, this.gid)) granted >>= 3;
    if ((requested & ~granted & 7) === 0 || hasCapability(credentials, CAP_IPC_OWNER)) return 0;
    return -EACCES;
  }

  /** Who may change or remove it (IPC_SET, IPC_RMID): 0 or -EPERM. */
  mayControl(credentials: Credentials): number {
    const owner = credentials.euid === this.cuid || credentials.euid === this.uid;
    return owner || hasCapability(credentials, CAP_SYS_ADMIN) ? 0 : -EPERM;
  }

  /** IPC_SET. */
  setOwner(uid: number, gid: number, mode: number): void {
    this.uid = uid;
    this.gid = gid;
    this.mode = (this.mode & ~0o777) | (mode & 0o777);
  }
}

function inGroup(credentials: Credentials, gid: number): boolean {
  return credentials.egid === gid || credentials.groups.includes(gid);
}

/** The objects of one kind, by identifier and by key. */
export class IpcTable<T extends IpcObject> {
  inUse = 0;
  private readonly slots: (T | undefined)[] = [];
  private readonly keys = new Map<number, T>();
  private sequence = 0;
  private last = -1;

  constructor(private readonly limit: number) {}

  /** Gives the object its identifier: that, or -ENOSPC. */
  add(object: T): number {
    if (this.inUse >= this.limit) return -ENOSPC;
    const cycle = Math.min(this.limit, Math.max(Math.floor((this.inUse * 3) / 2), SHORTEST_CYCLE));
    let slot = this.last + 1 < cycle ? this.last + 1 : 0;
    for (let tried = 0; this.slots[slot] !== undefined; tried++) {
      if (tried > this.limit) return -ENOSPC;
      slot = slot + 1 < cycle ? slot + 1 : 0;
    }
    if (slot <= this.last) this.sequence = (this.sequence + 1) % SEQUENCES;
    this.last = slot;
    object.sequence = this.sequence;
    object.id = this.sequence * SLOTS + slot;
    while (this.slots.length <= slot) this.slots.push(undefined);
    this.slots[slot] = object;
    if (object.key !== IPC_PRIVATE) this.keys.set(object.key, object);
    this.inUse++;
    return object.id;
  }

  /** By identifier; undefined = EINVAL. */
  find(id: number): T | undefined {
    if (id < 0) return undefined;
    const object = this.slots[id % SLOTS];
    return object?.id === id ? object : undefined;
  }

  /** By slot, for *_STAT. */
  at(slot: number): T | undefined {
    return this.slots[slot];
  }

  /** Highest slot in use, 0 when there is none: what *_INFO answer. */
  highest(): number {
    let slot = this.slots.length - 1;
    while (slot > 0 && this.slots[slot] === undefined) slot--;
    return Math.max(0, slot);
  }

  remove(object: T): void {
    if (this.slots[object.id % SLOTS] !== object) return;
    this.slots[object.id % SLOTS] = undefined;
    this.forgetKey(object);
    object.removed = true;
    this.inUse--;
  }

  /** A segment marked for removal is found by its identifier only. */
  forgetKey(object: T): void {
    if (this.keys.get(object.key) === object) this.keys.delete(object.key);
    object.key = IPC_PRIVATE;
  }

  /**
   * shmget(2), semget(2), msgget(2): the identifier of the object with the key, or of a new one.
   * `fits` checks an existing one (0 or -EINVAL); -ENOENT, -EEXIST, -EACCES, -ENOSPC and what `make` answers.
   */
  get(
    key: number,
    flags: number,
    credentials: Credentials,
    fits: (object: T) => number,
    make: () => T | number,
  ): number {
    const known = key === IPC_PRIVATE ? undefined : this.keys.get(key);
    if (known) {
      if ((flags & (IPC_CREAT | IPC_EXCL)) === (IPC_CREAT | IPC_EXCL)) return -EEXIST;
      return fits(known) || known.access(flags, credentials) || known.id;
    }
    if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) return -ENOENT;
    const made = make();
    return typeof made === 'number' ? made : this.add(made);
  }

  /** In the order of their slots. */
  *[Symbol.iterator](): Generator<T> {
    for (const object of this.slots) if (object !== undefined) yield object;
  }
}

/** -EINVAL for an identifier that names nothing, else the object; checks access on the way. */
export function obtain<T extends IpcObject>(
  table: IpcTable<T>,
  id: number,
  wanted: number,
  credentials: Credentials,
): T | number {
  const object = table.find(id);
  if (!object) return -EINVAL;
  return object.access(wanted, credentials) || object;
}
