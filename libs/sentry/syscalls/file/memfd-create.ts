import { EINVAL, EMFILE } from '../../abi/errno.js';
import { F_SEAL_SEAL, O_RDWR } from '../../abi/fcntl.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { S_IFREG } from '../../abi/stat.js';
import { MemoryRegularFile } from '../../fs/tmpfs/memory-file.js';
import { MemoryFileSystem } from '../../fs/tmpfs/memory-file-system.js';
import type { Kernel, SyscallArguments, Task } from '../../kernel/types.js';
import { MountNode } from '../../vfs/dentry.js';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_NOEXEC_SEAL = 8;
const MFD_EXEC = 16;
const NAME_MAX = 249;

/** Per sandbox: the nameless file system that memfds live in. */
const mounts = new WeakMap<Kernel, MountNode>();

function mountOf(kernel: Kernel): MountNode {
  let mount = mounts.get(kernel);
  if (!mount) {
    const fileSystem = new MemoryFileSystem('tmpfs', 1, kernel.frames, 0o777);
    mount = new MountNode(fileSystem, null, 'memfd', '');
    fileSystem.detachedRoot = mount.root;
    mounts.set(kernel, mount);
  }
  return mount;
}

/** memfd_create implements Linux syscall memfd_create(2); huge pages are EINVAL. */
export function memfdCreate(task: Task, args: SyscallArguments): number {
  const flags = args[1] >>> 0;
  if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) return -EINVAL;
  if ((flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) === (MFD_NOEXEC_SEAL | MFD_EXEC)) return -EINVAL;
  const name = task.pathArgument(0);
  if (typeof name === 'number') return name;
  if (name.length > NAME_MAX) return -EINVAL;
  const mount = mountOf(task.kernel);
  const fileSystem = mount.fileSystem as MemoryFileSystem;
  const { fsuid, fsgid } = task.credentials;
  const file = new MemoryRegularFile(fileSystem, fileSystem.nextNumber(), S_IFREG | 0o777, fsuid, fsgid);
  file.links = 0;
  file.born();
  file.seals = flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL) ? 0 : F_SEAL_SEAL;
  const place = mount.root.adopt(`memfd:${name}`, file);
  mount.root.forget(place.name);
  const description = file.open(place, O_RDWR, task);
  if (typeof description === 'number') return description;
  const fd = task.files.install(description, (flags & MFD_CLOEXEC) !== 0, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd === -EMFILE) description.release();
  return fd;
}
