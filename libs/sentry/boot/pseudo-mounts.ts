import { createCgroupFileSystem } from '../fs/cgroup/cgroup.js';
import { createDevFileSystem } from '../fs/dev/dev.js';
import { createQueueFileSystem } from '../fs/mqueue/mqueue.js';
import { createProcFileSystem } from '../fs/proc/proc.js';
import { createSysFileSystem } from '../fs/sys/sys.js';
import type { MemoryDirectory } from '../fs/tmpfs/memory-directory.js';
import { MemoryFileSystem } from '../fs/tmpfs/memory-file-system.js';
import { Terminals } from '../fs/tty/devpts.js';
import type { Kernel } from '../kernel/kernel.js';
import type { FileTree } from './file-tree.js';

const SHM_DEVICE = 0x1a;

/** Mounts proc, sys and dev of a kernel on the tree. */
export function mountPseudoFileSystems(kernel: Kernel, tree: FileTree): void {
  const { mounts } = tree;
  mounts.unmountAll();
  mounts.mount(createProcFileSystem(kernel), '/proc', 'proc', 'rw,nosuid,nodev,noexec,relatime');
  mounts.mount(createSysFileSystem(kernel), '/sys', 'sysfs', 'ro,nosuid,nodev,noexec,relatime');
  mounts.mount(createCgroupFileSystem(kernel), '/sys/fs/cgroup', 'cgroup', 'ro,nosuid,nodev,noexec,relatime');
  mounts.mount(createDevFileSystem(kernel), '/dev', 'dev', 'rw,nosuid,noexec,relatime');
  mounts.mount(createQueueFileSystem(kernel), '/dev/mqueue', 'mqueue', 'rw,nosuid,nodev,noexec,relatime');
  const terminals = new Terminals(kernel);
  terminals.mounted(
    mounts.mount(terminals.fileSystem, '/dev/pts', 'devpts', 'rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666'),
  );
  const shm = new MemoryFileSystem('tmpfs', SHM_DEVICE, tree.fileSystem.frames, 0o1777);
  (shm.root as MemoryDirectory).born();
  mounts.mount(shm, '/dev/shm', 'shm', 'rw,nosuid,nodev,relatime');
}
