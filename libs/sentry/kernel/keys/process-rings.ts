import { EACCES, EINVAL, EKEYREVOKED, ENOKEY } from '../../abi/errno.js';
import * as K from '../../abi/keyctl.js';
import type { Task } from '../task.js';
import type { Key, KeyType } from './key.js';
import { OWN_RING_PERMISSIONS } from './key-store.js';

/** A key, and whether the caller has it in its own key rings. */
export interface FoundKey {
  readonly key: Key;
  readonly possessed: boolean;
}

const now = (task: Task): number => task.kernel.clock.realtimeSeconds();

function newRing(task: Task, name: string, permissions = OWN_RING_PERMISSIONS): Key | number {
  const ring = task.kernel.keys.create('keyring', name, task.credentials, permissions);
  return typeof ring === 'number' ? ring : ring.retain();
}

/** Makes `ring` the session's. Takes over a reference. */
export function setSessionRing(task: Task, ring: Key): void {
  task.sessionKeyring?.release();
  task.sessionKeyring = ring;
}

/** A session key ring of its own, without a name (KEYCTL_JOIN_SESSION_KEYRING). */
export function joinAnonymousSession(task: Task): Key | number {
  const ring = newRing(task, '_ses', OWN_RING_PERMISSIONS + (K.KEY_READ << K.KEY_USER_SHIFT));
  if (typeof ring !== 'number') setSessionRing(task, ring);
  return ring;
}

/** The session's: that of the user where the session has none; one of its own if something is to be put into it. */
function sessionRing(task: Task, create: boolean): Key | number {
  const rings = task.kernel.keys.ringsOf(task.credentials);
  if (typeof rings === 'number') return rings;
  const known = task.sessionKeyring;
  if (create && (known === null || known === rings.session)) return joinAnonymousSession(task);
  if (known === null) setSessionRing(task, rings.session.retain());
  return task.sessionKeyring as Key;
}

/** A key ring by its special number (keyrings(7)): -ENOKEY without one, unless `create`; -EINVAL for no such number. */
function specialRing(task: Task, id: number, create: boolean): Key | number {
  const { group } = task;
  switch (id) {
    case K.KEY_SPEC_THREAD_KEYRING: {
      const ring = task.threadKeyring ?? (create ? newRing(task, '_tid') : -ENOKEY);
      if (typeof ring !== 'number') task.threadKeyring = ring;
      return ring;
    }
    case K.KEY_SPEC_PROCESS_KEYRING: {
      const ring = group.processKeyring ?? (create ? newRing(task, '_pid') : -ENOKEY);
      if (typeof ring !== 'number') group.processKeyring = ring;
      return ring;
    }
    case K.KEY_SPEC_SESSION_KEYRING:
      return sessionRing(task, create);
    case K.KEY_SPEC_USER_KEYRING:
    case K.KEY_SPEC_USER_SESSION_KEYRING: {
      const rings = task.kernel.keys.ringsOf(task.credentials);
      if (typeof rings === 'number') return rings;
      return id === K.KEY_SPEC_USER_KEYRING ? rings.user : rings.session;
    }
    default:
      return id < K.KEY_SPEC_GROUP_KEYRING && id >= K.KEY_SPEC_REQUESTOR_KEYRING ? -ENOKEY : -EINVAL;
  }
}

/** Where searches begin. */
function startRings(task: Task): Key[] {
  const rings = task.kernel.keys.ringsOf(task.credentials);
  const session = task.sessionKeyring ?? (typeof rings === 'number' ? null : rings.session);
  return [task.threadKeyring, task.group.processKeyring, session].filter((ring) => ring !== null);
}

/**
 * Goes through a key ring and those in it that may be searched; the first that `accepts` says is the one. `seen`: rings gone through in
 * vain and how deep they lay; there may be more ways to them than anybody could go.
 */
function walk(
  task: Task,
  ring: Key,
  possessed: boolean,
  accepts: (key: Key) => boolean,
  depth = 0,
  seen = new Map<Key, number>(),
): Key | null {
  if (!ring.permits(task.credentials, possessed, K.KEY_SEARCH) || ring.validate(now(task)) < 0) return null;
  if ((seen.get(ring) ?? Number.POSITIVE_INFINITY) <= depth) return null;
  seen.set(ring, depth);
  if (accepts(ring)) return ring;
  for (const key of ring.links) if (!key.isRing && accepts(key)) return key;
  if (depth >= K.KEYRING_DEPTH_MAX) return null;
  for (const key of ring.links) {
    const found = key.isRing ? walk(task, key, possessed, accepts, depth + 1, seen) : null;
    if (found) return found;
  }
  return null;
}

/** A key that its possessor may not find, nobody possesses. */
function isPossessed(task: Task, wanted: Key): boolean {
  if (!wanted.permits(task.credentials, true, K.KEY_SEARCH)) return false;
  return startRings(task).some((ring) => walk(task, ring, true, (key) => key === wanted) !== null);
}

/**
 * The key that `id` names for a caller that needs `needed` of it (KEY_*; 0 nothing). -ENOKEY, -EINVAL, -EACCES; revoked and expired
 * keys say so, unless `anyState`.
 */
export function lookupKey(task: Task, id: number, needed: number, create = false, anyState = false): FoundKey | number {
  let key: Key | number | undefined;
  let possessed = true;
  if (id > 0) {
    key = task.kernel.keys.get(id);
    if (!key) return -ENOKEY;
    possessed = isPossessed(task, key);
  } else {
    key = specialRing(task, id, create);
    if (typeof key === 'number') return key;
  }
  const valid = anyState ? 0 : key.validate(now(task));
  if (valid < 0) return valid;
  return needed === 0 || key.permits(task.credentials, possessed, needed) ? { key, possessed } : -EACCES;
}

/** A key by type and description in a key ring and those below it: -ENOKEY, -EACCES, or why the one found is not valid. */
export function searchRing(task: Task, ring: FoundKey, type: KeyType, description: string): Key | number {
  const matches = (key: Key): boolean => key.type === type && key.description === description && !key.invalidated;
  let failure = -ENOKEY;
  const found = walk(task, ring.key, ring.possessed, (key) => {
    if (!matches(key)) return false;
    const invalid = key.validate(now(task));
    const allowed = key.permits(task.credentials, ring.possessed, K.KEY_SEARCH);
    if (invalid === 0 && allowed) return true;
    failure = invalid || -EACCES;
    return false;
  });
  return found ?? failure;
}

/** As `searchRing` in all key rings of the caller: request_key(2), for which keys that have expired or must not be found are not there. */
export function searchOwn(task: Task, type: KeyType, description: string): Key | number {
  let failure = -ENOKEY;
  for (const key of startRings(task)) {
    const found = searchRing(task, { key, possessed: true }, type, description);
    if (typeof found !== 'number') return found;
    if (found === -EKEYREVOKED) failure = found;
  }
  return failure;
}

/** exec, exit: rings of the thread and (with `process`) of the process go. */
export function dropOwnRings(task: Task, process: boolean): void {
  task.threadKeyring?.release();
  task.threadKeyring = null;
  if (!process) return;
  task.group.processKeyring?.release();
  task.group.processKeyring = null;
}
