import { EINVAL, ENODATA, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM } from '../abi/errno.js';
import { S_IFDIR, S_IFMT } from '../abi/stat.js';
import type { AttributeChange, Caller, FileDescription, FileSystem, Inode, Path, Stat } from './types.js';

/** Base of all inodes: Linux's answers for what a kind does not support. */
export abstract class BaseInode implements Inode {
  abstract readonly fileSystem: FileSystem;
  abstract readonly number: number;
  abstract readonly mode: number;
  abstract readonly uid: number;
  abstract readonly gid: number;

  /** True for directories whose entries come and go by themselves (proc): their dentries are not kept. */
  get volatileEntries(): boolean {
    return false;
  }

  abstract stat(out: Stat): void;

  setAttributes(_change: AttributeChange, _caller: Caller): number {
    return -EPERM;
  }

  lookup(_name: string): Inode | number {
    return -ENOTDIR;
  }

  create(_name: string, _mode: number, _caller: Caller): Inode | number {
    return this.refuseChange();
  }

  mkdir(_name: string, _mode: number, _caller: Caller): Inode | number {
    return this.refuseChange();
  }

  mknod(_name: string, _mode: number, _rdev: number, _caller: Caller): Inode | number {
    return this.refuseChange();
  }

  symlink(_name: string, _target: string, _caller: Caller): Inode | number {
    return this.refuseChange();
  }

  link(_name: string, _target: Inode): number {
    return this.refuseChange();
  }

  unlink(_name: string): number {
    return this.refuseChange();
  }

  rmdir(_name: string): number {
    return this.refuseChange();
  }

  rename(_name: string, _newParent: Inode, _newName: string, _flags: number): number {
    return this.refuseChange();
  }

  createUnnamed(_mode: number, _caller: Caller): Inode | number {
    return -EOPNOTSUPP;
  }

  readlink(_caller: Caller): string | number {
    return -EINVAL;
  }

  open(_path: Path, _flags: number, _caller: Caller): FileDescription | number {
    return -ENXIO;
  }

  getXattr(_name: string): Uint8Array | number {
    return -EOPNOTSUPP;
  }

  setXattr(_name: string, _value: Uint8Array, _flags: number): number {
    return -EOPNOTSUPP;
  }

  removeXattr(_name: string): number {
    return -EOPNOTSUPP;
  }

  listXattr(): readonly string[] {
    return [];
  }

  private refuseChange(): number {
    return (this.mode & S_IFMT) === S_IFDIR ? -EPERM : -ENOTDIR;
  }
}

/** For inodes that have attributes but no such one. */
export const NO_SUCH_ATTRIBUTE = -ENODATA;

/** A Stat to fill, and to fill again. */
export function newStat(): Stat {
  const time = () => ({ seconds: 0, nanoseconds: 0 });
  return {
    device: 0,
    inode: 0,
    mode: 0,
    links: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    blockSize: 4096,
    blocks: 0,
    atime: time(),
    mtime: time(),
    ctime: time(),
    btime: time(),
  };
}
