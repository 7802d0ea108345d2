import { EDQUOT } from '../../abi/errno.js';
import * as K from '../../abi/keyctl.js';
import type { Credentials } from '../../vfs/types.js';
import { Key, type KeyType } from './key.js';

/** kernel.keys.maxkeys and maxbytes, and what root has (root_maxkeys, root_maxbytes). */
export const KEYS_MAX = 200;
export const KEYS_MAX_BYTES = 20_000;
export const ROOT_KEYS_MAX = 10_000;
export const ROOT_KEYS_MAX_BYTES = 1_000_000;
/** Of all users together: root may become as many users as there are numbers. */
const ALL_KEYS_MAX = 20_000;
const ALL_KEYS_MAX_BYTES = 4_000_000;

const POSSESSOR_ALL = K.KEY_ALL * 2 ** K.KEY_POSSESSOR_SHIFT;
const USER_VIEW = K.KEY_VIEW << K.KEY_USER_SHIFT;
/** What a new key permits (key_create_or_update): everything to its possessor, logon keys not to be read; the user may see it. */
export const DEFAULT_PERMISSIONS: Readonly<Record<KeyType, number>> = {
  user: POSSESSOR_ALL + USER_VIEW,
  keyring: POSSESSOR_ALL + USER_VIEW,
  logon: POSSESSOR_ALL - K.KEY_READ * 2 ** K.KEY_POSSESSOR_SHIFT + USER_VIEW,
};
/** Key rings of threads and processes; of users. */
export const OWN_RING_PERMISSIONS = POSSESSOR_ALL + USER_VIEW;
const USER_RING_PERMISSIONS = POSSESSOR_ALL + (K.KEY_ALL << K.KEY_USER_SHIFT);

interface Usage {
  keys: number;
  bytes: number;
}

/** All keys of the sandbox. */
export class KeyStore {
  private readonly keys = new Map<number, Key>();
  private readonly usage = new Map<number, Usage>();
  /** Of all users. */
  private bytes = 0;
  private readonly userRings = new Map<number, { user: Key; session: Key }>();

  constructor(private readonly random: (destination: Uint8Array) => void) {}

  get(serial: number): Key | undefined {
    return this.keys.get(serial);
  }

  all(): Iterable<Key> {
    return this.keys.values();
  }

  /** A new key without a reference: the caller links it or holds it at once. -EDQUOT. */
  create(type: KeyType, description: string, owner: Credentials, permissions: number): Key | number {
    const { fsuid, fsgid } = owner;
    if (this.keys.size >= ALL_KEYS_MAX || this.hasAll(fsuid)) return -EDQUOT;
    const key = new Key(this, this.freeSerial(), type, description, fsuid, fsgid, permissions);
    const charged = key.setPayload(new Uint8Array(0));
    if (charged < 0) return charged;
    this.usageOf(fsuid).keys++;
    this.keys.set(key.serial, key);
    return key;
  }

  /** It counts for nothing any more but its bytes, which are its own to give back. */
  forget(key: Key): void {
    this.keys.delete(key.serial);
    this.usageOf(key.uid).keys--;
  }

  /** Counts bytes for a user; false when that would be too many. */
  account(uid: number, bytes: number): boolean {
    const used = this.usageOf(uid);
    if (bytes > 0) {
      if (used.bytes + bytes > (uid === 0 ? ROOT_KEYS_MAX_BYTES : KEYS_MAX_BYTES)) return false;
      if (this.bytes + bytes > ALL_KEYS_MAX_BYTES) return false;
    }
    used.bytes += bytes;
    this.bytes += bytes;
    if (used.keys === 0 && used.bytes === 0) this.usage.delete(uid);
    return true;
  }

  /** The key rings of a user (user-keyring(7)), made when first asked for: -EDQUOT. */
  ringsOf(owner: Credentials): { user: Key; session: Key } | number {
    const { uid } = owner;
    const known = this.userRings.get(uid);
    if (known) return known;
    const as = { ...owner, fsuid: uid, fsgid: owner.gid };
    const user = this.create('keyring', `_uid.${uid}`, as, USER_RING_PERMISSIONS);
    if (typeof user === 'number') return user;
    user.retain();
    const session = this.create('keyring', `_uid_ses.${uid}`, as, USER_RING_PERMISSIONS);
    if (typeof session === 'number') {
      user.release();
      return session;
    }
    session.retain().link(user);
    const rings = { user, session };
    this.userRings.set(uid, rings);
    return rings;
  }

  /** Gives a key to another user, with what it counts for: 0, or -EDQUOT. */
  moveTo(key: Key, uid: number): number {
    if (key.uid === uid) return 0;
    if (this.hasAll(uid) || !this.account(uid, key.chargedBytes)) return -EDQUOT;
    this.usageOf(uid).keys++;
    this.usageOf(key.uid).keys--;
    this.account(key.uid, -key.chargedBytes);
    key.uid = uid;
    return 0;
  }

  /** Takes an invalid key off every ring. */
  unlinkEverywhere(key: Key): void {
    for (const ring of [...this.keys.values()]) if (ring.isRing) ring.unlink(key);
  }

  /** Whether a user has as many keys as one may have. */
  private hasAll(uid: number): boolean {
    return (this.usage.get(uid)?.keys ?? 0) >= (uid === 0 ? ROOT_KEYS_MAX : KEYS_MAX);
  }

  private usageOf(uid: number): Usage {
    let used = this.usage.get(uid);
    if (!used) {
      used = { keys: 0, bytes: 0 };
      this.usage.set(uid, used);
    }
    return used;
  }

  /** Serial numbers are random and positive, as in Linux. */
  private freeSerial(): number {
    const bytes = new Uint8Array(4);
    const view = new DataView(bytes.buffer);
    for (;;) {
      this.random(bytes);
      const serial = view.getUint32(0, true) & 0x7fffffff;
      if (serial >= 3 && !this.keys.has(serial)) return serial;
    }
  }
}
