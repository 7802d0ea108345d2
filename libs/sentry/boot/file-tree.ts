import { S_IFDIR } from '../abi/stat.js';
import { ImageDirectory, imageRoot, type KnownNames } from '../fs/overlay/image-directory.js';
import { StaticFile } from '../fs/overlay/static-file.js';
import { MemoryDirectory } from '../fs/tmpfs/memory-directory.js';
import { MemoryFileSystem } from '../fs/tmpfs/memory-file-system.js';
import { MemorySymlink } from '../fs/tmpfs/special-file.js';
import type { FrameAllocator } from '../mm/types.js';
import { openImageSource } from '../platform/confine.unsafe.js';
import { MountTable } from '../vfs/mount-table.js';
import type { Inode } from '../vfs/types.js';
import type { ImageSpec } from './boot-message.js';

/** Inodes of the Sentry's own files in the root; image files keep the host's numbers, which are far below. */
const OWN_NUMBERS = 2 ** 48;
const OVERLAY_DEVICE = 0x20;
/** Directories every sandbox has, with their modes. */
const DIRECTORIES: readonly (readonly [path: string, mode: number])[] = [
  ['/dev', 0o755],
  ['/etc', 0o755],
  ['/home', 0o755],
  ['/mnt', 0o755],
  ['/opt', 0o755],
  ['/proc', 0o555],
  ['/root', 0o700],
  ['/run', 0o755],
  ['/srv', 0o755],
  ['/sys', 0o555],
  ['/tmp', 0o1777],
  ['/var', 0o755],
  ['/var/cache', 0o755],
  ['/var/lib', 0o755],
  ['/var/log', 0o755],
  ['/var/tmp', 0o1777],
  ['/work', 0o755],
];

/** The root file system of sandboxes of one image: built in the zygote, changed only in the children. */
export class FileTree {
  readonly fileSystem: MemoryFileSystem;
  readonly mounts: MountTable;

  constructor(frames: FrameAllocator) {
    this.fileSystem = new MemoryFileSystem('overlay', OVERLAY_DEVICE, frames, 0o755, OWN_NUMBERS, 0x794c7630);
    (this.fileSystem.root as MemoryDirectory).born();
    this.mounts = new MountTable(this.fileSystem, 'overlay', 'rw,relatime');
    this.fileSystem.nameRoot = this.mounts.root.root;
  }

  /** In the zygote: opens the image's sources. Throws when one cannot be opened. */
  addImage(image: ImageSpec): void {
    for (const [path, mode] of DIRECTORIES) this.directory(path, mode);
    for (const { path, source } of image.mounts) {
      const inode = imageRoot(this.fileSystem, openImageSource(source));
      if (typeof inode === 'number') throw new Error(`${source}: errno ${-inode}`);
      const { parent, name } = this.parentOf(path);
      parent.add(name, inode);
    }
    for (const { path, target } of image.links) {
      const { parent, name } = this.parentOf(path);
      const link = new MemorySymlink(this.fileSystem, this.fileSystem.nextNumber(), target, 0, 0);
      link.born();
      parent.add(name, link);
    }
    for (const { path, content, mode } of image.files) this.file(path, Buffer.from(content, 'utf8'), mode, 0, 0);
  }

  /** What was looked up in the image so far. */
  known(): KnownNames[] {
    const names: KnownNames[] = [];
    const below = (directory: MemoryDirectory, path: string): void => {
      for (const [name, inode] of directory.children()) {
        if (inode instanceof ImageDirectory) inode.known(`${path}/${name}`, names);
        else if (inode instanceof MemoryDirectory) below(inode, `${path}/${name}`);
      }
    };
    below(this.fileSystem.root as MemoryDirectory, '');
    return names;
  }

  /** Looks it up here, too. What is not there any more is left out. */
  recall(names: readonly KnownNames[]): void {
    for (const known of names) {
      let inode: Inode | number = this.fileSystem.root;
      for (const name of known.directory.split('/')) {
        if (name !== '' && typeof inode !== 'number') inode = inode.lookup(name);
      }
      if (inode instanceof ImageDirectory) inode.recall(known);
    }
  }

  /** A file with its parents; what was there is replaced. */
  file(path: string, content: Uint8Array, mode: number, uid: number, gid: number): void {
    const { parent, name } = this.parentOf(path, uid, gid);
    const file = new StaticFile(this.fileSystem, this.fileSystem.nextNumber(), mode, content, uid, gid);
    file.born();
    if (typeof parent.lookup(name) !== 'number') parent.unlink(name);
    parent.add(name, file);
  }

  /** Makes a directory and its parents; an existing one keeps its mode and owner. */
  directory(path: string, mode: number, uid = 0, gid = 0): MemoryDirectory {
    let directory = this.fileSystem.root as MemoryDirectory;
    for (const name of path.split('/')) {
      if (name === '' || name === '.') continue;
      const found = directory.lookup(name);
      if (found instanceof MemoryDirectory) {
        directory = found;
        continue;
      }
      if (typeof found !== 'number') throw new Error(`${path}: ${name} is no directory`);
      const made = new MemoryDirectory(
        this.fileSystem,
        this.fileSystem.nextNumber(),
        S_IFDIR | mode,
        uid,
        gid,
        directory.number,
      );
      made.born();
      directory.add(name, made);
      directory = made;
    }
    return directory;
  }

  private parentOf(path: string, uid = 0, gid = 0): { parent: MemoryDirectory; name: string } {
    const at = path.lastIndexOf('/');
    const parent = this.directory(path.slice(0, at), 0o755, uid, gid);
    return { parent, name: path.slice(at + 1) };
  }
}
