/** add_key(2), request_key(2) and the operations of keyctl(2) that find, link and search. */
import { EACCES, EFAULT, EINVAL, ENODEV, ENOKEY, ENOTDIR, EPERM } from '../../abi/errno.js';
import * as K from '../../abi/keyctl.js';
import type { Key, KeyType } from '../../kernel/keys/key.js';
import { DEFAULT_PERMISSIONS } from '../../kernel/keys/key-store.js';
import { type FoundKey, lookupKey, searchOwn, searchRing } from '../../kernel/keys/process-rings.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

const TYPES: readonly string[] = ['user', 'logon', 'keyring'] satisfies KeyType[];
/** Larger payloads are refused before any type looks at them. */
const PAYLOAD_LIMIT = 1024 * 1024 - 1;

/** A key type's name: -EFAULT, -EINVAL (too long, empty), -EPERM (internal ones), -ENODEV (unknown). */
function readType(task: Task, address: number): KeyType | number {
  const name = task.memory.readString(address, K.KEY_TYPE_MAX - 1);
  if (typeof name === 'number') return name === -EFAULT ? -EFAULT : -EINVAL;
  if (name === '') return -EINVAL;
  if (name.startsWith('.')) return -EPERM;
  return TYPES.includes(name) ? (name as KeyType) : -ENODEV;
}

export function readDescription(task: Task, address: number): string | number {
  const text = task.memory.readString(address, K.KEY_DESCRIPTION_MAX - 1);
  return typeof text === 'number' && text !== -EFAULT ? -EINVAL : text;
}

/** What a key of this type may hold: 0, or -EINVAL. */
export function checkPayload({ length }: Uint8Array, type: KeyType): number {
  if (type === 'keyring') return length === 0 ? 0 : -EINVAL;
  return length === 0 || length > K.KEY_PAYLOAD_MAX ? -EINVAL : 0;
}

/** Copies a payload in: -EFAULT. Precondition: the length is bounded. */
export function readPayload(task: Task, address: number, length: number): Uint8Array | number {
  const bytes = new Uint8Array(length);
  return task.memory.copyIn(address, bytes, 0, length) === length ? bytes : -EFAULT;
}

/** A key ring by number; -ENOTDIR for a key. */
export function lookupRing(task: Task, id: number, needed: number, create = false): FoundKey | number {
  const found = lookupKey(task, id, needed, create);
  return typeof found === 'number' || found.key.isRing ? found : -ENOTDIR;
}

/** Makes a key and links it: its number. A key without a ring to hold it is gone again. */
function addNew(task: Task, ring: Key, type: KeyType, description: string, payload: Uint8Array): number {
  const key = task.kernel.keys.create(type, description, task.credentials, DEFAULT_PERMISSIONS[type]);
  if (typeof key === 'number') return key;
  key.retain();
  const result = key.setPayload(payload) || ring.link(key);
  key.release();
  return result < 0 ? result : key.serial;
}

/** add_key implements Linux syscall add_key(2). */
export function addKey(task: Task, args: SyscallArguments): number {
  const length = args[3];
  if (length < 0 || length > PAYLOAD_LIMIT) return -EINVAL;
  const type = readType(task, args[0]);
  if (typeof type === 'number' && type !== -ENODEV) return type;
  const description = args[1] === 0 ? '' : readDescription(task, args[1]);
  if (typeof description === 'number') return description;
  if (type === 'keyring' && description.startsWith('.')) return -EPERM;
  const payload = readPayload(task, args[2], length);
  if (typeof payload === 'number') return payload;
  const ring = lookupKey(task, args[4] | 0, K.KEY_WRITE, true);
  if (typeof ring === 'number') return ring;
  if (typeof type === 'number') return type;
  if (!ring.key.isRing) return -ENOTDIR;
  if (description === '' || (type === 'logon' && !/^[^:]+:/.test(description))) return -EINVAL;
  const unfit = checkPayload(payload, type);
  if (unfit < 0) return unfit;
  const known = type === 'keyring' ? undefined : ring.key.find(type, description);
  if (!known) return addNew(task, ring.key, type, description, payload);
  if (!known.permits(task.credentials, ring.possessed, K.KEY_WRITE)) return -EACCES;
  const result = known.setPayload(payload);
  known.revoked = false;
  return result < 0 ? result : known.serial;
}

/** Links what was found into the ring that a call names, if it names one. */
function linkResult(task: Task, found: Key | number, ringId: number): number {
  if (typeof found === 'number') return found;
  if (ringId === 0) return found.serial;
  const ring = lookupRing(task, ringId, K.KEY_WRITE, true);
  if (typeof ring === 'number') return ring;
  return ring.key.link(found) || found.serial;
}

/** request_key implements Linux syscall request_key(2). Nobody makes keys on request: there is no /sbin/request-key to be called. */
export function requestKey(task: Task, args: SyscallArguments): number {
  const type = readType(task, args[0]);
  if (typeof type === 'number' && type !== -ENODEV) return type;
  const description = readDescription(task, args[1]);
  if (typeof description === 'number') return description;
  if (args[2] !== 0) {
    const callout = readDescription(task, args[2]);
    if (typeof callout === 'number') return callout;
  }
  if (typeof type === 'number') return -ENOKEY;
  return linkResult(task, searchOwn(task, type, description), args[3] | 0);
}

/** KEYCTL_SEARCH: a key in one ring. */
export function search(task: Task, args: SyscallArguments): number {
  const type = readType(task, args[2]);
  if (typeof type === 'number' && type !== -ENODEV) return type;
  const description = readDescription(task, args[3]);
  if (typeof description === 'number') return description;
  const ring = lookupRing(task, args[1] | 0, K.KEY_SEARCH);
  if (typeof ring === 'number') return ring;
  if (typeof type === 'number') return -ENOKEY;
  return linkResult(task, searchRing(task, ring, type, description), args[4] | 0);
}
