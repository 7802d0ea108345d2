import { ENXIO } from '../../abi/errno.js';
import { makedev, TMPFS_MAGIC } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel, Task } from '../../kernel/types.js';
import type { FileDescription, Inode, Path } from '../../vfs/types.js';
import { StaticDirectory, SyntheticFileSystem, SyntheticLink } from '../synthetic/file-system.js';
import { DeviceInode, memoryDevices } from './devices.js';

const TTY_MAJOR = 5;

/** What /dev asks of a terminal: to be opened once more. */
export interface OpenableTerminal {
  openAgain(path: Path, flags: number): FileDescription | number;
}

export interface DevOptions {
  /** Opens a new pseudoterminal's master (/dev/ptmx), when there are any. */
  readonly openMaster?: (path: Path, inode: Inode, flags: number) => FileDescription | number;
}

/** /dev: nodes and empty directories `shm`, `pts`, `mqueue` for boot code to mount on. */
export function createDevFileSystem(kernel: Kernel, options: DevOptions = {}): SyntheticFileSystem {
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
    new DeviceInode(fileSystem, 0o666, makedev(TTY_MAJOR, 0), (path, _inode, flags, caller) => {
      const terminal = (caller as Task).group?.session.terminal as OpenableTerminal | null | undefined;
      return terminal ? terminal.openAgain(path, flags) : -ENXIO;
    }),
  );
  const { openMaster } = options;
  if (openMaster) {
    root.add(
      'ptmx',
      new DeviceInode(fileSystem, 0o666, makedev(TTY_MAJOR, 2), (path, inode, flags) => openMaster(path, inode, flags)),
    );
  }
  for (const [name, target] of LINKS) root.add(name, new SyntheticLink(fileSystem, () => target));
  for (const name of ['shm', 'pts', 'mqueue']) root.add(name, new StaticDirectory(fileSystem, 0o755));
  return fileSystem;
}

const LINKS = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
] as const;
