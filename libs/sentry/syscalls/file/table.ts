import { EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import { full, partial, refused, type SyscallRow } from '../row.js';
import { access, faccessat, faccessat2 } from './access.js';
import { chmod, chown, fchmod, fchmodat, fchmodat2, fchown, fchownat, futimesat, lchown, utime, utimensat, utimes } from './attributes.js';
import { close, closeRange } from './close.js';
import { copyFileRange, sendfile, splice } from './copy-between.js';
import { chdir, chroot, fchdir, getcwd, getdents, getdents64, umask } from './directory.js';
import { dup, dup2, dup3 } from './dup.js';
import { fcntl } from './fcntl.js';
import { flock } from './flock.js';
import { ioctl } from './ioctl.js';
import { lseek } from './lseek.js';
import { memfdCreate } from './memfd-create.js';
import { link, linkat, mkdir, mkdirat, mknod, mknodat, readlink, readlinkat, rename, renameat, renameat2, rmdir, symlink, symlinkat, unlink, unlinkat } from './names.js';
import { creat, open } from './open.js';
import { openat } from './openat.js';
import { pread64, preadv, preadv2, read, readv } from './read.js';
import { fadvise64, fallocate, fstatfs, fsync, ftruncate, readahead, statfs, sync, syncFileRange, syncfs, truncate } from './size.js';
import { fstat, lstat, newfstatat, stat } from './stat.js';
import { statx } from './statx.js';
import { pwrite64, pwritev, pwritev2, write, writev } from './write.js';
import { fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr, removexattr, setxattr } from './xattr.js';

/** System calls of the file family: one row each. */
export const fileRows: readonly SyscallRow[] = [
  full('read', 'fd:fd buf:buffer-out count:size', read),
  full('write', 'fd:fd buf:buffer-in(count) count:size', write),
  full('open', 'path:path flags:open-flags mode:mode', open, { security: true }),
  full('openat', 'dirfd:dirfd path:path flags:open-flags mode:mode', openat, { security: true }),
  full('creat', 'path:path mode:mode', creat, { security: true }),
  full('close', 'fd:fd', close),
  partial('close_range', 'first:uint last:uint flags:hex', closeRange, 'CLOSE_RANGE_UNSHARE answers EINVAL'),
  full('pread64', 'fd:fd buf:buffer-out count:size offset:offset', pread64),
  full('pwrite64', 'fd:fd buf:buffer-in(count) count:size offset:offset', pwrite64),
  full('readv', 'fd:fd iov:iovec-out iovcnt:int', readv),
  full('writev', 'fd:fd iov:iovec iovcnt:int', writev),
  full('preadv', 'fd:fd iov:iovec-out iovcnt:int offset:offset', preadv),
  full('pwritev', 'fd:fd iov:iovec iovcnt:int offset:offset', pwritev),
  partial('preadv2', 'fd:fd iov:iovec-out iovcnt:int offset:offset unused:hex flags:hex', preadv2, 'RWF_* flags answer EOPNOTSUPP'),
  partial('pwritev2', 'fd:fd iov:iovec iovcnt:int offset:offset unused:hex flags:hex', pwritev2, 'RWF_* flags answer EOPNOTSUPP'),
  full('lseek', 'fd:fd offset:offset whence:whence', lseek),
  full('stat', 'path:path statbuf:stat-out', stat),
  full('lstat', 'path:path statbuf:stat-out', lstat),
  full('fstat', 'fd:fd statbuf:stat-out', fstat),
  full('newfstatat', 'dirfd:dirfd path:path statbuf:stat-out flags:at-flags', newfstatat),
  full('statx', 'dirfd:dirfd path:path flags:at-flags mask:hex statxbuf:address', statx),
  full('access', 'path:path mode:access-mode', access),
  full('faccessat', 'dirfd:dirfd path:path mode:access-mode', faccessat),
  full('faccessat2', 'dirfd:dirfd path:path mode:access-mode flags:at-flags', faccessat2),
  full('dup', 'fd:fd', dup),
  full('dup2', 'oldfd:fd newfd:fd', dup2),
  full('dup3', 'oldfd:fd newfd:fd flags:open-flags', dup3),
  partial('fcntl', 'fd:fd cmd:fcntl-cmd arg:hex', fcntl, 'F_SETOWN and F_SETSIG are accepted without effect; leases and F_NOTIFY answer EINVAL'),
  full('flock', 'fd:fd operation:hex', flock),
  partial('ioctl', 'fd:fd request:ioctl-request arg:address', ioctl, 'requests of terminals, pipes, sockets and files; others ENOTTY'),
  full('getcwd', 'buf:buffer-out size:size', getcwd),
  full('chdir', 'path:path', chdir),
  full('fchdir', 'fd:fd', fchdir),
  full('chroot', 'path:path', chroot, { security: true }),
  full('umask', 'mask:mode', umask),
  full('getdents64', 'fd:fd dirp:address count:size', getdents64),
  full('getdents', 'fd:fd dirp:address count:size', getdents),
  full('mkdir', 'path:path mode:mode', mkdir, { security: true }),
  full('mkdirat', 'dirfd:dirfd path:path mode:mode', mkdirat, { security: true }),
  partial('mknod', 'path:path mode:mode dev:hex', mknod, 'FIFOs, sockets and regular files; device nodes answer EPERM', { security: true }),
  partial('mknodat', 'dirfd:dirfd path:path mode:mode dev:hex', mknodat, 'FIFOs, sockets and regular files; device nodes answer EPERM', { security: true }),
  full('rmdir', 'path:path', rmdir, { security: true }),
  full('unlink', 'path:path', unlink, { security: true }),
  full('unlinkat', 'dirfd:dirfd path:path flags:at-flags', unlinkat, { security: true }),
  full('symlink', 'target:path linkpath:path', symlink, { security: true }),
  full('symlinkat', 'target:path newdirfd:dirfd linkpath:path', symlinkat, { security: true }),
  full('link', 'oldpath:path newpath:path', link, { security: true }),
  full('linkat', 'olddirfd:dirfd oldpath:path newdirfd:dirfd newpath:path flags:at-flags', linkat, { security: true }),
  full('rename', 'oldpath:path newpath:path', rename, { security: true }),
  full('renameat', 'olddirfd:dirfd oldpath:path newdirfd:dirfd newpath:path', renameat, { security: true }),
  partial('renameat2', 'olddirfd:dirfd oldpath:path newdirfd:dirfd newpath:path flags:hex', renameat2, 'RENAME_WHITEOUT answers EINVAL', { security: true }),
  full('readlink', 'path:path buf:buffer-out bufsiz:size', readlink),
  full('readlinkat', 'dirfd:dirfd path:path buf:buffer-out bufsiz:size', readlinkat),
  full('chmod', 'path:path mode:mode', chmod, { security: true }),
  full('fchmod', 'fd:fd mode:mode', fchmod, { security: true }),
  full('fchmodat', 'dirfd:dirfd path:path mode:mode', fchmodat, { security: true }),
  full('fchmodat2', 'dirfd:dirfd path:path mode:mode flags:at-flags', fchmodat2, { security: true }),
  full('chown', 'path:path owner:int group:int', chown, { security: true }),
  full('lchown', 'path:path owner:int group:int', lchown, { security: true }),
  full('fchown', 'fd:fd owner:int group:int', fchown, { security: true }),
  full('fchownat', 'dirfd:dirfd path:path owner:int group:int flags:at-flags', fchownat, { security: true }),
  full('utimensat', 'dirfd:dirfd path:path times:address flags:at-flags', utimensat),
  full('utimes', 'path:path times:address', utimes),
  full('futimesat', 'dirfd:dirfd path:path times:address', futimesat),
  full('utime', 'path:path times:address', utime),
  full('truncate', 'path:path length:offset', truncate, { security: true }),
  full('ftruncate', 'fd:fd length:offset', ftruncate),
  partial('fallocate', 'fd:fd mode:hex offset:offset len:offset', fallocate, 'KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE; other modes answer EOPNOTSUPP'),
  partial('fadvise64', 'fd:fd offset:offset len:size advice:int', fadvise64, 'accepted without effect'),
  full('fsync', 'fd:fd', fsync),
  full('fdatasync', 'fd:fd', fsync),
  full('sync', '', sync),
  full('syncfs', 'fd:fd', syncfs),
  full('sync_file_range', 'fd:fd offset:offset nbytes:offset flags:hex', syncFileRange),
  partial('readahead', 'fd:fd offset:offset count:size', readahead, 'accepted without effect'),
  full('statfs', 'path:path buf:address', statfs),
  full('fstatfs', 'fd:fd buf:address', fstatfs),
  full('getxattr', 'path:path name:string value:buffer-out size:size', getxattr),
  full('setxattr', 'path:path name:string value:buffer-in(size) size:size flags:hex', setxattr, { security: true }),
  full('removexattr', 'path:path name:string', removexattr, { security: true }),
  full('listxattr', 'path:path list:buffer-out size:size', listxattr),
  full('lgetxattr', 'path:path name:string value:buffer-out size:size', lgetxattr),
  full('lsetxattr', 'path:path name:string value:buffer-in(size) size:size flags:hex', lsetxattr, { security: true }),
  full('lremovexattr', 'path:path name:string', lremovexattr, { security: true }),
  full('llistxattr', 'path:path list:buffer-out size:size', llistxattr),
  full('fgetxattr', 'fd:fd name:string value:buffer-out size:size', fgetxattr),
  full('fsetxattr', 'fd:fd name:string value:buffer-in(size) size:size flags:hex', fsetxattr, { security: true }),
  full('fremovexattr', 'fd:fd name:string', fremovexattr, { security: true }),
  full('flistxattr', 'fd:fd list:buffer-out size:size', flistxattr),
  full('sendfile', 'out_fd:fd in_fd:fd offset:address count:size', sendfile),
  full('copy_file_range', 'fd_in:fd off_in:address fd_out:fd off_out:address len:size flags:hex', copyFileRange),
  partial('splice', 'fd_in:fd off_in:address fd_out:fd off_out:address len:size flags:hex', splice, 'bytes are copied, at most 64 KiB a call'),
  partial('memfd_create', 'name:string flags:hex', memfdCreate, 'huge pages answer EINVAL'),
  refused('tee', 'fd_in:fd fd_out:fd len:size flags:hex', EINVAL, 'pages of pipes cannot be shared; callers copy'),
  refused('vmsplice', 'fd:fd iov:address nr_segs:size flags:hex', ENOSYS, 'as gVisor; callers fall back to writev'),
  refused('openat2', 'dirfd:dirfd path:path how:address size:size', ENOSYS, 'callers fall back to openat'),
  refused('name_to_handle_at', 'dirfd:dirfd path:path handle:address mount_id:address flags:at-flags', EOPNOTSUPP, 'no file handles'),
  refused('open_by_handle_at', 'mount_fd:fd handle:address flags:open-flags', EPERM, 'no file handles'),
  refused('mount', 'source:string target:path fstype:string flags:hex data:address', EPERM, 'the mounts of a sandbox are fixed'),
  refused('umount2', 'target:path flags:hex', EPERM, 'the mounts of a sandbox are fixed'),
  refused('pivot_root', 'new_root:path put_old:path', EPERM, 'the mounts of a sandbox are fixed'),
];
