import { EBADF, EINVAL, EMFILE, ENOTDIR } from '../../abi/errno.js';
import { R_OK } from '../../abi/fcntl.js';
import * as abi from '../../abi/inotify.js';
import { InotifyFile, inotifyInstances, MAX_INSTANCES } from '../../fs/anon/inotify.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { isDirectory, resolve } from '../../vfs/path-walk.js';
import { checkAccess } from '../../vfs/permissions.js';
import { installFile } from './support.js';

function makeInotify(task: Task, flags: number): number {
  if (flags & ~(abi.IN_CLOEXEC | abi.IN_NONBLOCK)) return -EINVAL;
  if (inotifyInstances() >= MAX_INSTANCES) return -EMFILE;
  return installFile(task, new InotifyFile(flags), (flags & abi.IN_CLOEXEC) !== 0);
}

/** inotify_init implements Linux syscall inotify_init(2). */
export function inotifyInit(task: Task): number {
  return makeInotify(task, 0);
}

/** inotify_init1 implements Linux syscall inotify_init1(2). */
export function inotifyInit1(task: Task, args: SyscallArguments): number {
  return makeInotify(task, args[0] | 0);
}

/** inotify_add_watch implements Linux syscall inotify_add_watch(2). */
export function inotifyAddWatch(task: Task, args: SyscallArguments): number {
  const mask = args[2] | 0;
  if ((mask & abi.IN_ALL_EVENTS) === 0) return -EINVAL;
  if (mask & abi.IN_MASK_ADD && mask & abi.IN_MASK_CREATE) return -EINVAL;
  const file = task.files.get(args[0] | 0);
  if (!file) return -EBADF;
  if (!(file instanceof InotifyFile)) return -EINVAL;
  const path = task.pathArgument(1);
  if (typeof path === 'number') return path;
  const place = resolve(task, null, path, (mask & abi.IN_DONT_FOLLOW) === 0);
  if (typeof place === 'number') return place;
  if (mask & abi.IN_ONLYDIR && !isDirectory(place.inode)) return -ENOTDIR;
  const allowed = checkAccess(place.inode, R_OK, task.credentials);
  return allowed < 0 ? allowed : file.watch(place.inode, mask);
}

/** inotify_rm_watch implements Linux syscall inotify_rm_watch(2). */
export function inotifyRmWatch(task: Task, args: SyscallArguments): number {
  const file = task.files.get(args[0] | 0);
  if (!file) return -EBADF;
  return file instanceof InotifyFile ? file.unwatch(args[1] | 0) : -EINVAL;
}
