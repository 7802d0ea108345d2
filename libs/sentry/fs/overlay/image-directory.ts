import { ENOENT } from '../../abi/errno.js';
import { O_DIRECTORY, O_RDONLY } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../abi/stat.js';
import { host, STAT_FIELDS, StatField } from '../../platform/host.js';
import type { HostFd } from '../../platform/platform.js';
import { MemoryDirectory } from '../tmpfs/memory-directory.js';
import type { MemoryFileSystem } from '../tmpfs/memory-file-system.js';
import type { MemoryInode } from '../tmpfs/memory-inode.js';
import { MemorySymlink } from '../tmpfs/special-file.js';
import { ImageFile } from './image-file.js';

const attributes = new Float64Array(STAT_FIELDS);
const records = new Uint8Array(32768);
const recordView = new DataView(records.buffer);
/** Names known to be absent, per directory: compilers and interpreters ask for the same ones again and again. */
const ABSENT_MAX = 4096;

/** What was asked of a directory of the image: for another tree of the same image to know before it is asked. */
export interface KnownNames {
  /** As in the sandbox. */
  readonly directory: string;
  readonly present: readonly string[];
  readonly absent: readonly string[];
  /** It was listed. */
  readonly complete: boolean;
}

/**
 * A directory of the image. Entries are looked up on the host when first asked for and kept, since the image does not change; what
 * the guest adds, removes or renames is in memory only. The host's directory is reached from `root` by a path without links.
 */
export class ImageDirectory extends MemoryDirectory {
  private readonly absent = new Set<string>();
  /** Names the guest removed: they stay removed whatever the host has. */
  private readonly whiteouts = new Set<string>();
  private complete = false;

  constructor(
    fileSystem: MemoryFileSystem,
    private readonly root: HostFd,
    private readonly path: string,
    from: Float64Array,
  ) {
    super(fileSystem, from[StatField.Inode], from[StatField.Mode], from[StatField.Uid], from[StatField.Gid]);
    setTimes(this, from);
  }

  protected override find(name: string): MemoryInode | undefined {
    const present = super.find(name);
    if (present || this.complete || this.absent.has(name) || this.whiteouts.has(name)) return present;
    const inode = this.fetch(name);
    if (inode) super.add(name, inode);
    else if (this.absent.size < ABSENT_MAX) this.absent.add(name);
    return inode;
  }

  override add(name: string, inode: MemoryInode): void {
    this.absent.delete(name);
    super.add(name, inode);
  }

  protected override take(name: string): void {
    this.whiteouts.add(name);
    super.take(name);
  }

  protected override load(): void {
    if (this.complete) return;
    this.complete = true;
    const fd = host.openBeneath(this.root, this.path === '' ? '.' : this.path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return;
    for (;;) {
      const length = host.getdents(fd, records, 0, records.length);
      if (length <= 0) break;
      for (let at = 0; at < length; at += recordView.getUint16(at + 16, true)) this.offer(recordName(at));
    }
    host.close(fd);
    this.absent.clear();
  }

  /** Adds what is known of this directory and of those below to `out`. */
  known(directory: string, out: KnownNames[]): void {
    const { complete } = this;
    out.push({ directory, present: complete ? [] : [...this.entries.keys()], absent: [...this.absent], complete });
    for (const [name, { inode }] of this.entries) {
      if (inode instanceof ImageDirectory) inode.known(`${directory}/${name}`, out);
    }
  }

  /** Looks up what another tree was asked for. */
  recall({ present, absent, complete }: KnownNames): void {
    if (complete) this.load();
    for (const name of present) this.find(name);
    for (const name of absent) this.find(name);
  }

  private offer(name: string): void {
    if (name === '.' || name === '..' || this.entries.has(name) || this.whiteouts.has(name)) return;
    const inode = this.fetch(name);
    if (inode) super.add(name, inode);
  }

  /** What the host has under this name; sockets, FIFOs and devices of the host are not shown. */
  private fetch(name: string): MemoryInode | undefined {
    const path = this.path === '' ? name : `${this.path}/${name}`;
    return host.statAt(this.root, path, attributes) < 0
      ? undefined
      : imageInode(this.fileSystem, this.root, path, attributes);
  }
}

/** NUL-terminated d_name of the linux_dirent64 at `at`. */
function recordName(at: number): string {
  let name = '';
  for (let index = at + 19; records[index] !== 0; index++) name += String.fromCharCode(records[index]);
  return name;
}

function setTimes(inode: MemoryInode, from: Float64Array): void {
  inode.atime.seconds = from[StatField.AtimeSeconds];
  inode.atime.nanoseconds = from[StatField.AtimeNanoseconds];
  inode.mtime.seconds = from[StatField.MtimeSeconds];
  inode.mtime.nanoseconds = from[StatField.MtimeNanoseconds];
  inode.ctime.seconds = from[StatField.CtimeSeconds];
  inode.ctime.nanoseconds = from[StatField.CtimeNanoseconds];
  inode.btime.seconds = from[StatField.BtimeSeconds];
  inode.btime.nanoseconds = from[StatField.BtimeNanoseconds];
}

/** The inode for a host object described by `from`; undefined for kinds that are not shown. */
export function imageInode(
  fileSystem: MemoryFileSystem,
  root: HostFd,
  path: string,
  from: Float64Array,
): MemoryInode | undefined {
  let inode: MemoryInode;
  switch (from[StatField.Mode] & S_IFMT) {
    case S_IFDIR:
      return new ImageDirectory(fileSystem, root, path, from);
    case S_IFREG:
      inode = new ImageFile(fileSystem, root, path, from);
      break;
    case S_IFLNK: {
      const number = from[StatField.Inode];
      const uid = from[StatField.Uid];
      const gid = from[StatField.Gid];
      const target = host.readlinkAt(root, path);
      if (typeof target === 'number') return undefined;
      inode = new MemorySymlink(fileSystem, number, target, uid, gid);
      break;
    }
    default:
      return undefined;
  }
  setTimes(inode, from);
  return inode;
}

/** For a mount source that was opened: its inode, or -errno. */
export function imageRoot(fileSystem: MemoryFileSystem, fd: HostFd): MemoryInode | number {
  const result = host.statAt(fd, '', attributes);
  if (result < 0) return result;
  return imageInode(fileSystem, fd, '', attributes) ?? -ENOENT;
}
