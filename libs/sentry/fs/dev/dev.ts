import { ENXIO } from '../../abi/errno.js';
import { makedev, TMPFS_MAGIC } from '../../abi/stat.js';
import { TTYAUX_MAJOR } from '../../abi/termios.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel, Task } from '../../kernel/types.js';
import { StaticDirectory, SyntheticFileSystem, SyntheticLink } from '../synthetic/file-system.js';
import { openControlling } from '../tty/devpts.js';
import { DeviceInode, memoryDevices } from './devices.js';

/** /dev: nodes and empty directories `shm`, `pts`, `mqueue` for boot code to mount on. */
export function createDevFileSystem(kernel: Kernel): SyntheticFileSystem {
  const now = { seconds: 0, nanoseconds: 0 };
  kernel.clock.read(CLOCK_REALTIME, now);
  const fileSystem = new SyntheticFileSystem('devtmpfs', makedev(0, 6), TMPFS_MAGIC, now);
  const root = new StaticDirectory(fileSystem, 0o755);
  fileSystem.root = root;
  for (const [name, rdev, open] of memoryDevices(kernel.frames, (bytes) => kernel.random(bytes))) {
    root.add(name, new DeviceInode(fileSystem, 0o666, rdev, open));
  }
  root.add(
    'tty',
    new DeviceInode(fileSystem, 0o666, makedev(TTYAUX_MAJOR, 0), (path, inode, flags, caller) => {
      const { group } = caller as Task;
      return group.terminal ? openControlling(path, inode, flags, group) : -ENXIO;
    }),
  );
  for (const [name, target] of LINKS) root.add(name, new SyntheticLink(fileSystem, () => target));
  for (const name of ['shm', 'pts', 'mqueue']) root.add(name, new StaticDirectory(fileSystem, 0o755));
  return fileSystem;
}

const LINKS = [
  ['ptmx', 'pts/ptmx'],
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
] as const;
