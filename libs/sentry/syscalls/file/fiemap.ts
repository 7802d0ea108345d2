import { EBADR, EFAULT, EINVAL } from '../../abi/errno.js';
import { SEEK_CUR, SEEK_DATA, SEEK_HOLE, SEEK_SET } from '../../abi/fcntl.js';
import type { Task } from '../../kernel/types.js';
import { newStat } from '../../vfs/inode.js';
import type { FileDescription } from '../../vfs/types.js';
import { setU64 } from './common.js';

export const FS_IOC_FIEMAP = 0xc020660b;
const FIEMAP_FLAG_SYNC = 1;
const FIEMAP_EXTENT_LAST = 1;
/** Where the bytes are on a disk cannot be said: they are in memory. */
const FIEMAP_EXTENT_UNKNOWN = 2;
const HEADER_BYTES = 32;
const EXTENT_BYTES = 56;
const PAGE = 4096;
const stat = newStat();

interface Extent {
  readonly start: number;
  readonly end: number;
}

/** ioctl(FS_IOC_FIEMAP): the extents of a regular file, as SEEK_DATA and SEEK_HOLE find them. -EBADR for unknown flags. */
export function fiemap(task: Task, file: FileDescription, address: number): number {
  const { memory } = task;
  const start = memory.readU64(address);
  const length = memory.readU64(address + 8);
  const flags = memory.readI32(address + 16);
  const room = memory.readU32(address + 24);
  if (Number.isNaN(start) || Number.isNaN(length) || Number.isNaN(room)) return -EFAULT;
  if (length === 0) return -EINVAL;
  if (flags & ~FIEMAP_FLAG_SYNC) {
    return memory.writeU32(address + 16, (flags & ~FIEMAP_FLAG_SYNC) >>> 0) ? -EBADR : -EFAULT;
  }
  file.stat(stat);
  const { size } = stat;
  // Lengths beyond 2^63 arrive as negative numbers and mean everything.
  const end = length < 0 ? size : Math.min(size, start + length);
  const extents = extentsOf(file, start, end);
  const told = room === 0 ? extents.length : Math.min(room, extents.length);
  if (room > 0) {
    for (let index = 0; index < told; index++) {
      if (
        !storeExtent(task, address + HEADER_BYTES + index * EXTENT_BYTES, extents[index], index === extents.length - 1)
      )
        return -EFAULT;
    }
  }
  return memory.writeU32(address + 20, told) ? 0 : -EFAULT;
}

/** Runs of data that reach into [start, end), in whole pages. Leaves the file's position as it is. */
function extentsOf(file: FileDescription, start: number, end: number): Extent[] {
  const position = file.seek(0, SEEK_CUR);
  const extents: Extent[] = [];
  for (let at = start; at < end; ) {
    const data = file.seek(at, SEEK_DATA);
    if (data < 0 || data >= end) break;
    const hole = file.seek(data, SEEK_HOLE);
    extents.push({ start: data - (data % PAGE), end: Math.ceil(hole / PAGE) * PAGE });
    at = hole;
  }
  file.seek(position, SEEK_SET);
  return extents;
}

/** `last`: of those asked for, as iomap's file systems mean it. */
function storeExtent(task: Task, address: number, extent: Extent, last: boolean): boolean {
  const view = task.memory.scratch(EXTENT_BYTES);
  for (let at = 0; at < EXTENT_BYTES; at += 4) view.setUint32(at, 0);
  setU64(view, 0, extent.start);
  setU64(view, 16, extent.end - extent.start);
  view.setUint32(40, FIEMAP_EXTENT_UNKNOWN | (last ? FIEMAP_EXTENT_LAST : 0), true);
  return task.memory.writeStruct(address, EXTENT_BYTES);
}
