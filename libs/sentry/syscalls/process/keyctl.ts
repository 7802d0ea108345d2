import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EACCES, EFAULT, EINVAL, ENOKEY, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import * as K from '../../abi/keyctl.js';
import type { Key } from '../../kernel/keys/key.js';
import { OWN_RING_PERMISSIONS } from '../../kernel/keys/key-store.js';
import { joinAnonymousSession, lookupKey, setSessionRing } from '../../kernel/keys/process-rings.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { checkPayload, lookupRing, readDescription, readPayload, search } from './keys.js';

type Operation = (task: Task, args: SyscallArguments) => number;

/** The user may look at, read and link what a named session has. */
const NAMED_SESSION_PERMISSIONS = OWN_RING_PERMISSIONS + ((K.KEY_READ | K.KEY_LINK) << K.KEY_USER_SHIFT);
/** KEYCTL_UPDATE takes a page at most. */
const UPDATE_MAX = 4096;
const REQKEY_KEEP = -1;
const REQKEY_LAST = 7;
const REQKEY_GROUP = 6;

/** Copies bytes to a buffer of the caller's that may be shorter, or absent; the full length is the result. */
function give(task: Task, bytes: Uint8Array, address: number, room: number, whole: boolean): number {
  const length = address === 0 || room <= 0 ? 0 : whole && room < bytes.length ? 0 : Math.min(room, bytes.length);
  if (length > 0 && task.memory.copyOut(address, bytes, 0, length) !== length) return -EFAULT;
  return bytes.length;
}

function joinSession(task: Task, args: SyscallArguments): number {
  if (args[1] === 0) {
    const ring = joinAnonymousSession(task);
    return typeof ring === 'number' ? ring : ring.serial;
  }
  const name = readDescription(task, args[1]);
  if (typeof name === 'number') return name;
  if (name.startsWith('.')) return -EPERM;
  const { keys } = task.kernel;
  for (const key of keys.all()) {
    if (!key.isRing || key.description !== name || key.revoked || key.invalidated) continue;
    if (!key.permits(task.credentials, false, K.KEY_SEARCH)) continue;
    setSessionRing(task, key.retain());
    return key.serial;
  }
  const ring = keys.create('keyring', name, task.credentials, NAMED_SESSION_PERMISSIONS);
  if (typeof ring === 'number') return ring;
  setSessionRing(task, ring.retain());
  return ring.serial;
}

function update(task: Task, args: SyscallArguments): number {
  if (args[3] < 0 || args[3] > UPDATE_MAX) return -EINVAL;
  const payload = readPayload(task, args[2], args[3]);
  if (typeof payload === 'number') return payload;
  const found = lookupKey(task, args[1] | 0, K.KEY_WRITE);
  if (typeof found === 'number') return found;
  if (found.key.isRing) return -EOPNOTSUPP;
  return checkPayload(payload, found.key.type) || found.key.setPayload(payload);
}

/** Revoking needs the right to write or to change attributes. */
function revoke(task: Task, args: SyscallArguments): number {
  let found = lookupKey(task, args[1] | 0, K.KEY_WRITE);
  if (found === -EACCES) found = lookupKey(task, args[1] | 0, K.KEY_SETATTR);
  if (typeof found === 'number') return found;
  found.key.revoke();
  return 0;
}

function chown(task: Task, args: SyscallArguments): number {
  const uid = args[2] | 0;
  const gid = args[3] | 0;
  if (uid === -1 && gid === -1) return 0;
  const found = lookupKey(task, args[1] | 0, K.KEY_SETATTR, true);
  if (typeof found === 'number') return found;
  const { key } = found;
  const { fsgid, groups } = task.credentials;
  if (!task.capable(CAP_SYS_ADMIN)) {
    if (uid !== -1 && uid >>> 0 !== key.uid) return -EACCES;
    if (gid !== -1 && gid >>> 0 !== key.gid && gid >>> 0 !== fsgid && !groups.includes(gid >>> 0)) return -EACCES;
  }
  if (uid !== -1) {
    const moved = task.kernel.keys.moveTo(key, uid >>> 0);
    if (moved < 0) return moved;
  }
  if (gid !== -1) key.gid = gid >>> 0;
  return 0;
}

function setPermissions(task: Task, args: SyscallArguments): number {
  if (args[2] & ~K.KEY_PERMISSIONS) return -EINVAL;
  const found = lookupKey(task, args[1] | 0, K.KEY_SETATTR, true);
  if (typeof found === 'number') return found;
  if (!task.capable(CAP_SYS_ADMIN) && found.key.uid !== task.credentials.fsuid) return -EACCES;
  found.key.permissions = args[2] | 0;
  return 0;
}

function describe(task: Task, args: SyscallArguments): number {
  const found = lookupKey(task, args[1] | 0, K.KEY_VIEW);
  if (typeof found === 'number') return found;
  const { type, uid, gid, permissions, description } = found.key;
  const text = `${type};${uid | 0};${gid | 0};${permissions.toString(16).padStart(8, '0')};${description}\0`;
  return give(task, Buffer.from(text, 'latin1'), args[2], args[3], true);
}

function serials(links: readonly Key[]): Uint8Array {
  const bytes = new Uint8Array(links.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, { serial }] of links.entries()) view.setInt32(4 * index, serial, true);
  return bytes;
}

/** Whoever possesses a key may read it, too. */
function read(task: Task, args: SyscallArguments): number {
  const found = lookupKey(task, args[1] | 0, 0);
  if (typeof found === 'number') return found;
  const { key, possessed } = found;
  if (!key.permits(task.credentials, possessed, K.KEY_READ) && !possessed) return -EACCES;
  if (key.type === 'logon') return -EOPNOTSUPP;
  return give(task, key.isRing ? serials(key.links) : key.payload, args[2], args[3], false);
}

function clear(task: Task, args: SyscallArguments): number {
  const ring = lookupRing(task, args[1] | 0, K.KEY_WRITE, true);
  if (typeof ring === 'number') return ring;
  ring.key.clear();
  return 0;
}

function link(task: Task, args: SyscallArguments): number {
  const ring = lookupRing(task, args[2] | 0, K.KEY_WRITE, true);
  if (typeof ring === 'number') return ring;
  const found = lookupKey(task, args[1] | 0, K.KEY_LINK, true);
  return typeof found === 'number' ? found : ring.key.link(found.key);
}

function unlink(task: Task, args: SyscallArguments): number {
  const ring = lookupRing(task, args[2] | 0, K.KEY_WRITE);
  if (typeof ring === 'number') return ring;
  const found = lookupKey(task, args[1] | 0, 0, false, true);
  return typeof found === 'number' ? found : ring.key.unlink(found.key);
}

function setRequestRing(task: Task, args: SyscallArguments): number {
  const ring = args[1] | 0;
  const before = task.requestKeyring;
  if (ring === REQKEY_KEEP) return before;
  if (ring < 0 || ring > REQKEY_LAST || ring === REQKEY_GROUP) return -EINVAL;
  task.requestKeyring = ring;
  return before;
}

function setTimeout(task: Task, args: SyscallArguments): number {
  const found = lookupKey(task, args[1] | 0, K.KEY_SETATTR, true);
  if (typeof found === 'number') return found;
  const seconds = args[2] >>> 0;
  found.key.expiry = seconds === 0 ? Number.POSITIVE_INFINITY : task.kernel.clock.realtimeSeconds() + seconds;
  return 0;
}

/** There is no security module that could have labelled it. */
function getSecurity(task: Task, args: SyscallArguments): number {
  const found = lookupKey(task, args[1] | 0, K.KEY_VIEW);
  return typeof found === 'number' ? found : give(task, new Uint8Array(1), args[2], args[3], false);
}

function invalidate(task: Task, args: SyscallArguments): number {
  const found = lookupKey(task, args[1] | 0, K.KEY_SEARCH);
  if (typeof found === 'number') return found;
  const { key } = found;
  key.retain();
  key.invalidated = true;
  task.kernel.keys.unlinkEverywhere(key);
  key.release();
  return 0;
}

/** Only who was asked to make a key may do so, and nobody is asked here. */
const noAuthority: Operation = () => -EPERM;

const OPERATIONS: Readonly<Record<number, Operation>> = {
  [K.KEYCTL_GET_KEYRING_ID]: (task, args) => {
    const found = lookupKey(task, args[1] | 0, K.KEY_SEARCH, args[2] !== 0);
    return typeof found === 'number' ? found : found.key.serial;
  },
  [K.KEYCTL_JOIN_SESSION_KEYRING]: joinSession,
  [K.KEYCTL_UPDATE]: update,
  [K.KEYCTL_REVOKE]: revoke,
  [K.KEYCTL_CHOWN]: chown,
  [K.KEYCTL_SETPERM]: setPermissions,
  [K.KEYCTL_DESCRIBE]: describe,
  [K.KEYCTL_CLEAR]: clear,
  [K.KEYCTL_LINK]: link,
  [K.KEYCTL_UNLINK]: unlink,
  [K.KEYCTL_SEARCH]: search,
  [K.KEYCTL_READ]: read,
  [K.KEYCTL_INSTANTIATE]: noAuthority,
  [K.KEYCTL_INSTANTIATE_IOV]: noAuthority,
  [K.KEYCTL_NEGATE]: noAuthority,
  [K.KEYCTL_REJECT]: noAuthority,
  [K.KEYCTL_SET_REQKEY_KEYRING]: setRequestRing,
  [K.KEYCTL_SET_TIMEOUT]: setTimeout,
  [K.KEYCTL_ASSUME_AUTHORITY]: (_task, args) => {
    const id = args[1] | 0;
    return id === 0 ? 0 : id < 0 ? -EINVAL : -ENOKEY;
  },
  [K.KEYCTL_GET_SECURITY]: getSecurity,
  [K.KEYCTL_SESSION_TO_PARENT]: noAuthority,
  [K.KEYCTL_INVALIDATE]: invalidate,
};

/** keyctl implements Linux syscall keyctl(2): key rings, and keys of the types user and logon. */
export function keyctl(task: Task, args: SyscallArguments): number {
  const operation = OPERATIONS[args[0] | 0];
  return operation === undefined ? -EOPNOTSUPP : operation(task, args);
}
