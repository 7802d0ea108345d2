import { EDEADLK, EDQUOT, EKEYEXPIRED, EKEYREVOKED, ELOOP, ENOENT, ENOKEY } from '../../abi/errno.js';
import * as K from '../../abi/keyctl.js';
import type { Credentials } from '../../vfs/types.js';
import type { KeyStore } from './key-store.js';

export type KeyType = 'user' | 'logon' | 'keyring';

/** What Linux counts of a key besides its payload: its description with the NUL. */
const DESCRIPTION_EXTRA = 1;
/** A link in a key ring. */
const LINK_BYTES = 8;

/** A key or a key ring. It lives while a key ring or a process refers to it. */
export class Key {
  readonly links: Key[] = [];
  payload: Uint8Array = new Uint8Array(0);
  /** Seconds of CLOCK_REALTIME. */
  expiry = Number.POSITIVE_INFINITY;
  revoked = false;
  invalidated = false;
  private references = 0;
  /** Bytes counted for `uid`. */
  private charged = 0;

  constructor(
    private readonly store: KeyStore,
    readonly serial: number,
    readonly type: KeyType,
    readonly description: string,
    public uid: number,
    public gid: number,
    public permissions: number,
  ) {}

  get isRing(): boolean {
    return this.type === 'keyring';
  }

  retain(): this {
    this.references++;
    return this;
  }

  /** The last reference gone, it goes, and so do those that only it had: chains of rings may be thousands long. */
  release(): void {
    if (--this.references > 0) return;
    const dying: Key[] = [this];
    for (let key = dying.pop(); key !== undefined; key = dying.pop()) {
      key.store.forget(key);
      key.charge(0);
      for (const linked of key.links.splice(0)) if (--linked.references <= 0) dying.push(linked);
    }
  }

  /** Counts `bytes` for its owner instead of what was counted before: 0, or -EDQUOT. */
  private charge(bytes: number): number {
    if (!this.store.account(this.uid, bytes - this.charged)) return -EDQUOT;
    this.charged = bytes;
    return 0;
  }

  private get size(): number {
    return this.description.length + DESCRIPTION_EXTRA + this.payload.length + this.links.length * LINK_BYTES;
  }

  /** Takes a new payload over: 0, or -EDQUOT. */
  setPayload(payload: Uint8Array): number {
    const before = this.payload;
    this.payload = payload;
    const charged = this.charge(this.size);
    if (charged < 0) this.payload = before;
    return charged;
  }

  /** Bytes it counts for against the quota of its owner. */
  get chargedBytes(): number {
    return this.charged;
  }

  /** -ENOKEY, -EKEYREVOKED, -EKEYEXPIRED, or 0. */
  validate(now: number): number {
    if (this.invalidated) return -ENOKEY;
    if (this.revoked) return -EKEYREVOKED;
    return now >= this.expiry ? -EKEYEXPIRED : 0;
  }

  /** Whether the caller has all of `needed` (KEY_*); `possessed`: it is reached from the caller's own key rings. */
  permits(credentials: Credentials, possessed: boolean, needed: number): boolean {
    let shift = 0;
    if (credentials.fsuid === this.uid) shift = K.KEY_USER_SHIFT;
    else if (credentials.fsgid === this.gid || credentials.groups.includes(this.gid)) shift = K.KEY_GROUP_SHIFT;
    let granted = this.permissions >>> shift;
    if (possessed) granted |= this.permissions >>> K.KEY_POSSESSOR_SHIFT;
    return (granted & needed) === needed;
  }

  find(type: string, description: string): Key | undefined {
    return this.links.find((key) => key.type === type && key.description === description && !key.invalidated);
  }

  /** Links a key; one of the same type and description makes room for it. 0, -EDEADLK, -ELOOP, -EDQUOT. */
  link(key: Key): number {
    if (key.isRing) {
      const depth = key.depthTo(this, 0, new Map());
      if (depth < 0) return depth;
    }
    if (this.links.includes(key)) return 0;
    const displaced = this.find(key.type, key.description);
    if (!displaced) {
      const charged = this.charge(this.size + LINK_BYTES);
      if (charged < 0) return charged;
    }
    this.links.push(key.retain());
    if (displaced) this.drop(displaced);
    return 0;
  }

  /**
   * 0, or -EDEADLK when `target` is this or in here, -ELOOP when it goes too deep. `seen`: rings and how deep they were found to be
   * harmless; there may be more ways to them than anybody could go.
   */
  private depthTo(target: Key, depth: number, seen: Map<Key, number>): number {
    if (this === target) return -EDEADLK;
    if (depth > K.KEYRING_DEPTH_MAX) return -ELOOP;
    if ((seen.get(this) ?? -1) >= depth) return 0;
    for (const key of this.links) {
      const result = key.isRing ? key.depthTo(target, depth + 1, seen) : 0;
      if (result < 0) return result;
    }
    seen.set(this, depth);
    return 0;
  }

  /** 0, or -ENOENT. */
  unlink(key: Key): number {
    if (!this.links.includes(key)) return -ENOENT;
    this.drop(key);
    this.charge(this.size);
    return 0;
  }

  private drop(key: Key): void {
    this.links.splice(this.links.indexOf(key), 1);
    key.release();
  }

  clear(): void {
    for (const key of this.links.splice(0)) key.release();
    if (this.references > 0) this.charge(this.size);
  }

  revoke(): void {
    this.revoked = true;
    if (this.isRing) this.clear();
  }
}
