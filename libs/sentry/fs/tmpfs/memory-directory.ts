import { EEXIST, EINVAL, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV } from '../../abi/errno.js';
import { O_NOATIME, RENAME_EXCHANGE, RENAME_NOREPLACE, SEEK_CUR, SEEK_SET } from '../../abi/fcntl.js';
import { direntType, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK, S_ISGID } from '../../abi/stat.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import type { Caller, Dentry, DirectoryVisitor, FileDescription, Inode, Path } from '../../vfs/types.js';
import { MemoryRegularFile } from './memory-file.js';
import type { MemoryFileSystem } from './memory-file-system.js';
import { MemoryInode } from './memory-inode.js';
import { MemorySymlink, SpecialFile } from './special-file.js';

/** Offsets of "." and ".."; entries follow. */
const FIRST_OFFSET = 2;
const LINK_MAX = 65000;

interface Entry {
  readonly inode: MemoryInode;
  /** Grows with each new entry, so that a listing goes on at the right place while entries come and go. */
  readonly position: number;
}

/** A directory in memory. Entries are in the order they were made. */
export class MemoryDirectory extends MemoryInode {
  protected readonly entries = new Map<string, Entry>();
  private nextPosition = FIRST_OFFSET + 1;
  /** Directories inside: each ".." is a link to this one. */
  parentNumber: number;
  private removed = false;

  constructor(
    fileSystem: MemoryFileSystem,
    number: number,
    mode: number,
    uid: number,
    gid: number,
    parentNumber = number,
  ) {
    super(fileSystem, number, S_IFDIR | (mode & 0o7777), uid, gid);
    this.links = 2;
    this.parentNumber = parentNumber;
  }

  protected override get size(): number {
    return 4096;
  }

  protected override get blocks(): number {
    return 8;
  }

  /** Reads in what is not in memory yet (overlay). */
  protected load(): void {}

  protected find(name: string): MemoryInode | undefined {
    return this.entries.get(name)?.inode;
  }

  override lookup(name: string): Inode | number {
    return this.find(name) ?? -ENOENT;
  }

  /** Adds an entry without any check: boot code and overlay. */
  add(name: string, inode: MemoryInode): void {
    this.entries.set(name, { inode, position: this.nextPosition++ });
    if (inode instanceof MemoryDirectory) {
      this.links++;
      inode.parentNumber = this.number;
    }
  }

  /** What is in memory of it. */
  *children(): Generator<readonly [name: string, inode: MemoryInode]> {
    for (const [name, { inode }] of this.entries) yield [name, inode];
  }

  protected take(name: string): void {
    const entry = this.entries.get(name);
    if (!entry) return;
    this.entries.delete(name);
    if (entry.inode instanceof MemoryDirectory) this.links--;
  }

  private refuse(name: string): number {
    if (this.removed) return -ENOENT;
    return this.find(name) ? -EEXIST : 0;
  }

  private insert<T extends MemoryInode>(name: string, inode: T): T {
    inode.born();
    this.add(name, inode);
    this.modified();
    return inode;
  }

  private group(caller: Caller): number {
    return this.mode & S_ISGID ? this.gid : caller.credentials.fsgid;
  }

  override create(name: string, mode: number, caller: Caller): Inode | number {
    const refused = this.refuse(name);
    if (refused) return refused;
    return this.insert(name, this.newFile(mode, caller));
  }

  override createUnnamed(mode: number, caller: Caller): Inode | number {
    if (this.removed) return -ENOENT;
    const file = this.newFile(mode, caller);
    file.links = 0;
    file.linkable = true;
    file.born();
    return file;
  }

  private newFile(mode: number, caller: Caller): MemoryRegularFile {
    const { fileSystem } = this;
    return new MemoryRegularFile(
      fileSystem,
      fileSystem.nextNumber(),
      S_IFREG | (mode & 0o7777),
      caller.credentials.fsuid,
      this.group(caller),
    );
  }

  override mkdir(name: string, mode: number, caller: Caller): Inode | number {
    const refused = this.refuse(name);
    if (refused) return refused;
    if (this.links >= LINK_MAX) return -EMLINK;
    const { fileSystem } = this;
    const inherited = (mode & 0o7777) | (this.mode & S_ISGID);
    const child = new MemoryDirectory(
      fileSystem,
      fileSystem.nextNumber(),
      inherited,
      caller.credentials.fsuid,
      this.group(caller),
      this.number,
    );
    return this.insert(name, child);
  }

  override mknod(name: string, mode: number, rdev: number, caller: Caller): Inode | number {
    const refused = this.refuse(name);
    if (refused) return refused;
    const type = mode & S_IFMT;
    if (type === S_IFREG || type === 0) return this.insert(name, this.newFile(mode, caller));
    if (type === S_IFCHR || type === S_IFBLK) return -EPERM;
    if (type !== S_IFIFO && type !== S_IFSOCK) return -EINVAL;
    const { fileSystem } = this;
    return this.insert(
      name,
      new SpecialFile(fileSystem, fileSystem.nextNumber(), mode, caller.credentials.fsuid, this.group(caller), rdev),
    );
  }

  override symlink(name: string, target: string, caller: Caller): Inode | number {
    const refused = this.refuse(name);
    if (refused) return refused;
    const { fileSystem } = this;
    return this.insert(
      name,
      new MemorySymlink(fileSystem, fileSystem.nextNumber(), target, caller.credentials.fsuid, this.group(caller)),
    );
  }

  override link(name: string, target: Inode): number {
    const refused = this.refuse(name);
    if (refused) return refused;
    if (!(target instanceof MemoryInode) || target.fileSystem !== this.fileSystem) return -EXDEV;
    if (target instanceof MemoryDirectory) return -EPERM;
    if (target.links === 0 && !target.linkable) return -ENOENT;
    if (target.links >= LINK_MAX) return -EMLINK;
    target.links++;
    target.setAttributes({}, null as unknown as Caller);
    this.add(name, target);
    this.modified();
    return 0;
  }

  override unlink(name: string): number {
    const inode = this.find(name);
    if (!inode) return -ENOENT;
    if (inode instanceof MemoryDirectory) return -EISDIR;
    this.take(name);
    this.modified();
    inode.unlinked();
    return 0;
  }

  override rmdir(name: string): number {
    const inode = this.find(name);
    if (!inode) return -ENOENT;
    if (!(inode instanceof MemoryDirectory)) return -ENOTDIR;
    if (!inode.empty()) return -ENOTEMPTY;
    this.take(name);
    this.modified();
    inode.remove();
    return 0;
  }

  empty(): boolean {
    this.load();
    return this.entries.size === 0;
  }

  private remove(): void {
    this.removed = true;
    this.links = 0;
  }

  override rename(name: string, newParent: Inode, newName: string, flags: number): number {
    if (!(newParent instanceof MemoryDirectory) || newParent.fileSystem !== this.fileSystem) return -EXDEV;
    const moved = this.find(name);
    if (!moved) return -ENOENT;
    if (newParent.removed) return -ENOENT;
    const replaced = newParent.find(newName);
    if (flags & RENAME_EXCHANGE) return this.exchange(name, moved, newParent, newName, replaced);
    if (replaced) {
      if (flags & RENAME_NOREPLACE) return -EEXIST;
      if (replaced === moved) return 0;
      if (replaced instanceof MemoryDirectory) {
        if (!(moved instanceof MemoryDirectory)) return -EISDIR;
        if (!replaced.empty()) return -ENOTEMPTY;
      } else if (moved instanceof MemoryDirectory) {
        return -ENOTDIR;
      }
      newParent.take(newName);
      if (replaced instanceof MemoryDirectory) replaced.remove();
      else replaced.unlinked();
    }
    this.take(name);
    newParent.add(newName, moved);
    this.modified();
    newParent.modified();
    moved.setAttributes({}, null as unknown as Caller);
    return 0;
  }

  private exchange(
    name: string,
    moved: MemoryInode,
    newParent: MemoryDirectory,
    newName: string,
    other: MemoryInode | undefined,
  ): number {
    if (!other) return -ENOENT;
    if (other === moved) return 0;
    this.take(name);
    newParent.take(newName);
    this.add(name, other);
    newParent.add(newName, moved);
    this.modified();
    newParent.modified();
    return 0;
  }

  override open(path: Path, flags: number, _caller: Caller): FileDescription | number {
    return new DirectoryDescription(path, this, flags);
  }

  /** Entries at or after `offset`, until the visitor has no room. Answers where to go on. */
  list(offset: number, dentry: Dentry, visit: DirectoryVisitor): number {
    this.load();
    if (offset <= 0 && !visit('.', this.number, direntType(S_IFDIR), 1)) return 0;
    const above = dentry.parent?.inode.number ?? this.parentNumber;
    if (offset <= 1 && !visit('..', above, direntType(S_IFDIR), FIRST_OFFSET)) return 1;
    let at = Math.max(offset, FIRST_OFFSET);
    if (at >= this.nextPosition) return at;
    for (const [name, { inode, position }] of this.entries) {
      if (position < at) continue;
      if (!visit(name, inode.number, direntType(inode.mode), position + 1)) break;
      at = position + 1;
    }
    return at;
  }
}

/** An open directory: remembers how far it was read. */
class DirectoryDescription extends BaseFileDescription {
  private offset = 0;

  constructor(
    path: Path,
    private readonly directory: MemoryDirectory,
    flags: number,
  ) {
    super(path, directory, flags);
    (path.dentry as DentryNode).users++;
    directory.opened();
  }

  protected override close(): void {
    (this.path.dentry as DentryNode).users--;
    this.directory.closed();
  }

  override read(): number {
    return -EISDIR;
  }

  override pread(): number {
    return -EISDIR;
  }

  override readDirectory(visit: DirectoryVisitor): number {
    if (!(this.flags & O_NOATIME)) this.directory.accessed();
    this.offset = this.directory.list(this.offset, this.path.dentry, visit);
    return 0;
  }

  override seek(offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    const target = whence === SEEK_SET ? offset : this.offset + offset;
    if (target < 0) return -EINVAL;
    this.offset = target;
    return target;
  }

  override sync(): number {
    return 0;
  }
}
