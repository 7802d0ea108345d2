import { EEXIST, ENODATA, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import { S_IFDIR, S_IFMT, S_IFREG, S_ISGID, S_ISUID } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import { host, ticks } from '../../platform/host.js';
import { BaseInode } from '../../vfs/inode.js';
import { CAP_FSETID, hasCapability } from '../../vfs/permissions.js';
import type { AttributeChange, Caller, FileTime, Stat } from '../../vfs/types.js';
import { treeChanged } from '../../vfs/walk-cache.js';
import type { MemoryFileSystem } from './memory-file-system.js';

const clock = new Float64Array(2);

/** Current CLOCK_REALTIME into a FileTime. */
export function stamp(time: FileTime): void {
  host.clockTime(CLOCK_REALTIME, clock);
  time.seconds = clock[0];
  time.nanoseconds = clock[1];
}

/** When the time was looked at last, by `ticks`; and it, in seconds. */
const rough = new Float64Array(2);

/** CLOCK_REALTIME in seconds as it was a second ago at most: enough to tell days apart, for next to nothing. */
function roughSeconds(): number {
  if (ticks[0] - rough[0] > 1e9 || rough[1] === 0) {
    host.clockTime(CLOCK_REALTIME, clock);
    rough[0] = ticks[0];
    rough[1] = clock[0];
  }
  return rough[1];
}

export const copyTime = (to: FileTime, from: FileTime): void => {
  to.seconds = from.seconds;
  to.nanoseconds = from.nanoseconds;
};

const SECONDS_PER_DAY = 86400;

const isBefore = (one: FileTime, other: FileTime): boolean =>
  one.seconds < other.seconds || (one.seconds === other.seconds && one.nanoseconds < other.nanoseconds);

const newTime = (): FileTime => ({ seconds: 0, nanoseconds: 0 });

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

/** Attributes that all inodes in memory share. State is plain data. */
export abstract class MemoryInode extends BaseInode {
  links = 1;
  linkable = false;
  readonly atime = newTime();
  readonly mtime = newTime();
  readonly ctime = newTime();
  readonly btime = newTime();
  private xattrs: Map<string, Uint8Array> | null = null;

  constructor(
    readonly fileSystem: MemoryFileSystem,
    readonly number: number,
    public mode: number,
    public uid: number,
    public gid: number,
  ) {
    super();
  }

  /** Sets all times to now: a new inode. */
  born(): void {
    stamp(this.atime);
    copyTime(this.mtime, this.atime);
    copyTime(this.ctime, this.atime);
    copyTime(this.btime, this.atime);
  }

  /** Contents changed. */
  modified(): void {
    stamp(this.mtime);
    copyTime(this.ctime, this.mtime);
  }

  /** Contents were read. As Linux's relatime: only if they were not since the last change, or for a day. */
  accessed(): void {
    const { atime, mtime, ctime } = this;
    if (isBefore(mtime, atime) && isBefore(ctime, atime) && !this.isOld()) return;
    stamp(atime);
  }

  private isOld(): boolean {
    return roughSeconds() - this.atime.seconds >= SECONDS_PER_DAY;
  }

  protected get size(): number {
    return 0;
  }

  protected get blocks(): number {
    return 0;
  }

  override stat(out: Stat): void {
    out.device = this.fileSystem.device;
    out.inode = this.number;
    out.mode = this.mode;
    out.links = this.links;
    out.uid = this.uid;
    out.gid = this.gid;
    out.rdev = 0;
    out.size = this.size;
    out.blockSize = 4096;
    out.blocks = this.blocks;
    copyTime(out.atime, this.atime);
    copyTime(out.mtime, this.mtime);
    copyTime(out.ctime, this.ctime);
    copyTime(out.btime, this.btime);
  }

  /** Permission to change was checked by the caller (vfs); this only does it. */
  override setAttributes(change: AttributeChange, caller: Caller): number {
    if ((this.mode & S_IFMT) === S_IFDIR && change.mode !== undefined) treeChanged();
    if (change.size !== undefined) {
      const result = this.resize(change.size, caller);
      if (result !== 0) return result;
    }
    if (change.mode !== undefined) this.mode = (this.mode & S_IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined || change.gid !== undefined) {
      if (change.uid !== undefined) this.uid = change.uid;
      if (change.gid !== undefined) this.gid = change.gid;
      if ((this.mode & S_IFMT) === 0o100000) this.mode &= ~(S_ISUID | (this.mode & 0o010 ? S_ISGID : 0));
    }
    stamp(this.ctime);
    if (change.atime) copyTime(this.atime, change.atime === 'now' ? this.ctime : change.atime);
    if (change.mtime) copyTime(this.mtime, change.mtime === 'now' ? this.ctime : change.mtime);
    return 0;
  }

  /** Whoever changes contents without CAP_FSETID takes set-user-ID and set-group-ID away (file_remove_privs). */
  protected dropSetIds(caller: Caller): void {
    if ((this.mode & (S_ISUID | S_ISGID)) === 0 || (this.mode & S_IFMT) !== S_IFREG) return;
    if (hasCapability(caller.credentials, CAP_FSETID)) return;
    this.mode &= ~(S_ISUID | (this.mode & 0o010 ? S_ISGID : 0));
  }

  /** truncate(2). */
  protected resize(_size: number, _caller: Caller): number {
    return -EPERM;
  }

  /** The last name and the last description are gone. */
  dropped(): void {}

  private openCount = 0;

  opened(): void {
    this.openCount++;
  }

  closed(): void {
    this.openCount--;
    this.dropIfUnused();
  }

  unlinked(): void {
    this.links--;
    stamp(this.ctime);
    this.dropIfUnused();
  }

  private dropIfUnused(): void {
    if (this.links <= 0 && this.openCount <= 0) this.dropped();
  }

  override getXattr(name: string): Uint8Array | number {
    return this.xattrs?.get(name) ?? (supported(name) ? -ENODATA : -EOPNOTSUPP);
  }

  override setXattr(name: string, value: Uint8Array, flags: number): number {
    if (!supported(name)) return -EOPNOTSUPP;
    const present = this.xattrs?.has(name) ?? false;
    if (flags & XATTR_CREATE && present) return -EEXIST;
    if (flags & XATTR_REPLACE && !present) return -ENODATA;
    this.xattrs ??= new Map();
    this.xattrs.set(name, value);
    stamp(this.ctime);
    return 0;
  }

  override removeXattr(name: string): number {
    if (!supported(name)) return -EOPNOTSUPP;
    if (!this.xattrs?.delete(name)) return -ENODATA;
    stamp(this.ctime);
    return 0;
  }

  override listXattr(): readonly string[] {
    return this.xattrs ? [...this.xattrs.keys()] : [];
  }
}

function supported(name: string): boolean {
  return name.startsWith('user.') || name.startsWith('trusted.') || name.startsWith('security.');
}
