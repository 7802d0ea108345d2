import { EINVAL, ENOENT, ENOTDIR, EPERM } from '../../abi/errno.js';
import { O_ACCMODE, O_RDONLY, SEEK_CUR, SEEK_END, SEEK_SET } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../abi/stat.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Bytes } from '../../platform/platform.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import { BaseInode } from '../../vfs/inode.js';
import type {
  AttributeChange,
  Caller,
  DirectoryVisitor,
  FileDescription,
  FileSystem,
  FileTime,
  Inode,
  Path,
  Stat,
  StatFs,
} from '../../vfs/types.js';

const DIRENT_DIRECTORY = S_IFDIR >> 12;

/** A file system whose files are made up when they are read: proc, sys, cgroup2, dev. */
export class SyntheticFileSystem implements FileSystem {
  root!: Inode;
  /** All its files look as old as the sandbox. */
  readonly created: FileTime = { seconds: 0, nanoseconds: 0 };
  private lastNumber = 1;

  constructor(
    readonly type: string,
    readonly device: number,
    private readonly magic: number,
    now: FileTime,
    readonly readOnly = false,
  ) {
    this.created.seconds = now.seconds;
    this.created.nanoseconds = now.nanoseconds;
  }

  nextNumber(): number {
    return this.lastNumber++;
  }

  statfs(out: StatFs): void {
    out.type = this.magic;
    out.blockSize = 4096;
    out.blocks = 0;
    out.blocksFree = 0;
    out.files = 0;
    out.filesFree = 0;
    out.nameMax = 255;
    out.flags = 0;
  }
}

/** What all synthetic inodes have in common. Owned by root unless `uid` and `gid` are overridden. */
export abstract class SyntheticInode extends BaseInode {
  constructor(
    readonly fileSystem: SyntheticFileSystem,
    public mode: number,
    readonly number: number = fileSystem.nextNumber(),
  ) {
    super();
  }

  get uid(): number {
    return 0;
  }

  get gid(): number {
    return 0;
  }

  stat(out: Stat): void {
    const { created } = this.fileSystem;
    out.device = this.fileSystem.device;
    out.inode = this.number;
    out.mode = this.mode;
    out.links = 1;
    out.uid = this.uid;
    out.gid = this.gid;
    out.rdev = 0;
    out.size = 0;
    out.blockSize = 1024;
    out.blocks = 0;
    for (const time of [out.atime, out.mtime, out.ctime, out.btime]) {
      time.seconds = created.seconds;
      time.nanoseconds = created.nanoseconds;
    }
  }

  /** O_TRUNC on a file that can be written is no change; anything else is refused, as proc does. */
  override setAttributes(change: AttributeChange, _caller: Caller): number {
    const { size, mode, uid, gid } = change;
    if (mode !== undefined || uid !== undefined || gid !== undefined) return -EPERM;
    return size === undefined || size === 0 ? 0 : -EINVAL;
  }
}

/** One line of a listing. */
export interface ListedEntry {
  readonly name: string;
  readonly number: number;
  /** d_type: S_IFMT bits >> 12. */
  readonly type: number;
}

/** A directory whose entries are asked for. */
export abstract class SyntheticDirectory extends SyntheticInode {
  constructor(fileSystem: SyntheticFileSystem, permissions = 0o555, number?: number) {
    super(fileSystem, S_IFDIR | permissions, number);
  }

  abstract override lookup(name: string): Inode | number;
  abstract list(): ListedEntry[];

  override stat(out: Stat): void {
    super.stat(out);
    out.links = 2;
  }

  override open(path: Path, flags: number, _caller: Caller): FileDescription | number {
    return new DirectoryDescription(path, this, flags);
  }
}

/** A directory whose entries never change. */
export class StaticDirectory extends SyntheticDirectory {
  private readonly entries = new Map<string, Inode>();

  add(name: string, inode: Inode): this {
    this.entries.set(name, inode);
    return this;
  }

  lookup(name: string): Inode | number {
    return this.entries.get(name) ?? -ENOENT;
  }

  list(): ListedEntry[] {
    return [...this.entries].map(([name, inode]) => ({
      name,
      number: inode.number,
      type: (inode.mode & 0o170000) >> 12,
    }));
  }
}

/** A static directory that is filled when somebody asks for what is not in it yet: most guests never look. */
export class LazyDirectory extends StaticDirectory {
  private filled = false;

  constructor(
    fileSystem: SyntheticFileSystem,
    permissions: number,
    private readonly fill: (directory: LazyDirectory) => void,
  ) {
    super(fileSystem, permissions);
  }

  override lookup(name: string): Inode | number {
    const known = super.lookup(name);
    if (typeof known !== 'number' || this.filled) return known;
    this.complete();
    return super.lookup(name);
  }

  override list(): ListedEntry[] {
    this.complete();
    return super.list();
  }

  private complete(): void {
    if (this.filled) return;
    this.filled = true;
    this.fill(this);
  }
}

/** getdents64(2): the listing of the moment in which it was begun. */
class DirectoryDescription extends BaseFileDescription {
  private offset = 0;
  private listing: ListedEntry[] = [];

  constructor(
    path: Path,
    private readonly directory: SyntheticDirectory,
    flags: number,
  ) {
    super(path, directory, flags);
  }

  override readDirectory(visit: DirectoryVisitor): number {
    if (this.offset === 0) {
      const parent = this.path.dentry.parent?.inode.number ?? this.directory.number;
      this.listing = [
        { name: '.', number: this.directory.number, type: DIRENT_DIRECTORY },
        { name: '..', number: parent, type: DIRENT_DIRECTORY },
        ...this.directory.list(),
      ];
    }
    while (this.offset < this.listing.length) {
      const { name, number, type } = this.listing[this.offset];
      if (!visit(name, number, type, this.offset + 1)) break;
      this.offset++;
    }
    return 0;
  }

  override seek(offset: number, whence: number): number {
    const target = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.offset + offset : -1;
    if (target < 0) return -EINVAL;
    this.offset = target;
    return target;
  }

  override sync(): number {
    return 0;
  }
}

/** Makes the content of a file: a byte string, bytes, or -errno. */
export type Generate = (caller: Caller) => string | Uint8Array | number;
/** Takes what one write(2) brings, without its line end: 0 or -errno. */
export type Accept = (text: string, caller: Caller) => number;

/** A file whose content is made when it is read from its start. */
export class SyntheticFile extends SyntheticInode {
  constructor(
    fileSystem: SyntheticFileSystem,
    readonly generate: Generate,
    permissions = 0o444,
    readonly accept: Accept | null = null,
    /** sysfs shows a page, proc nothing. */
    private readonly shownSize: Bytes = 0,
    number?: number,
  ) {
    super(fileSystem, S_IFREG | permissions, number);
  }

  override stat(out: Stat): void {
    super.stat(out);
    out.size = this.shownSize;
  }

  override open(path: Path, flags: number, _caller: Caller): FileDescription | number {
    return new GeneratedDescription(path, this, flags);
  }
}

/** Text as bytes: one char code per byte. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** Most bytes one write to a synthetic file may bring. */
const WRITE_MAX = 4096;

class GeneratedDescription extends BaseFileDescription {
  private offset = 0;
  private content: Uint8Array | null = null;

  constructor(
    path: Path,
    private readonly file: SyntheticFile,
    flags: number,
  ) {
    super(path, file, flags);
  }

  override read(io: IoBuffer, caller: Caller): number {
    const count = this.pread(io, this.offset, caller);
    if (count > 0) this.offset += count;
    return count;
  }

  /** Made anew by each read from the start, as Linux's seq_file does; later reads go on in the same text. */
  override pread(io: IoBuffer, offset: Bytes, caller: Caller): number {
    if (offset < 0) return -EINVAL;
    if (offset === 0 || this.content === null) {
      const made = this.file.generate(caller);
      if (typeof made === 'number') return made;
      this.content = typeof made === 'string' ? bytesOf(made) : made;
    }
    if (offset >= this.content.length) return 0;
    const wanted = Math.min(io.remaining, this.content.length - offset);
    return io.put(this.content, offset, wanted);
  }

  override write(io: IoBuffer, caller: Caller): number {
    const accept = this.file.accept;
    if (accept === null || (this.flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
    const length = Math.min(io.remaining, WRITE_MAX);
    const bytes = new Uint8Array(length);
    const got = io.take(bytes, 0, length);
    let text = '';
    for (let index = 0; index < got; index++) text += String.fromCharCode(bytes[index]);
    const result = accept(text.replace(/\n$/, ''), caller);
    return result < 0 ? result : got;
  }

  override pwrite(io: IoBuffer, _offset: Bytes, caller: Caller): number {
    return this.write(io, caller);
  }

  override seek(offset: number, whence: number): number {
    if (whence === SEEK_END) return -EINVAL;
    const target = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.offset + offset : -1;
    if (target < 0) return -EINVAL;
    this.offset = target;
    return target;
  }
}

/** A symbolic link; `target` is asked each time. */
export class SyntheticLink extends SyntheticInode {
  constructor(
    fileSystem: SyntheticFileSystem,
    private readonly target: (caller: Caller) => string | number,
    number?: number,
  ) {
    super(fileSystem, S_IFLNK | 0o777, number);
  }

  override readlink(caller: Caller): string | number {
    return this.target(caller);
  }

  override lookup(): number {
    return -ENOTDIR;
  }
}
