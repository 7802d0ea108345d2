import { EACCES, ENOSYS, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import { refused, type SyscallRow } from '../row.js';

const MACHINE = 'EPERM: belongs to the machine, which no guest administers';
const ASYNCHRONOUS = 'ENOSYS: calls made through a ring would pass by the audit log';
const LANDLOCK = 'EOPNOTSUPP: as a kernel with Landlock disabled at boot';
const MOUNT_API = 'ENOSYS: no new mount interface; callers fall back to mount(2)';
const GONE = 'ENOSYS: Linux has none any more either';
const PROTECTION_KEYS = 'ENOSYS: no memory protection keys';

/** Calls that are understood and always refused. */
export const refusedRows: readonly SyscallRow[] = [
  refused('reboot', 'magic:hex magic2:hex cmd:hex arg:address', EPERM, MACHINE),
  refused('kexec_load', 'entry:address nr_segments:size segments:address flags:hex', EPERM, MACHINE),
  refused('kexec_file_load', 'kernel_fd:fd initrd_fd:fd cmdline_len:size cmdline:string flags:hex', EPERM, MACHINE),
  refused('init_module', 'module_image:address len:size param_values:string', EPERM, MACHINE),
  refused('finit_module', 'fd:fd param_values:string flags:hex', EPERM, MACHINE),
  refused('delete_module', 'name:string flags:hex', EPERM, MACHINE),
  refused('iopl', 'level:int', EPERM, MACHINE),
  refused('ioperm', 'from:size num:size turn_on:int', EPERM, MACHINE),
  refused('swapon', 'path:path swapflags:hex', EPERM, MACHINE),
  refused('swapoff', 'path:path', EPERM, MACHINE),
  refused('acct', 'filename:path', EPERM, MACHINE),
  refused('quotactl', 'cmd:hex special:path id:int addr:address', EPERM, MACHINE),
  refused('quotactl_fd', 'fd:fd cmd:hex id:int addr:address', EPERM, MACHINE),
  refused('vhangup', '', EPERM, 'EPERM: needs CAP_SYS_TTY_CONFIG of the machine'),
  refused('bpf', 'cmd:int attr:address size:uint', EPERM, 'EPERM: as with unprivileged BPF disabled'),
  refused(
    'perf_event_open',
    'attr:address pid:pid cpu:int group_fd:fd flags:hex',
    EACCES,
    'EACCES: as with perf_event_paranoid 3',
  ),
  refused('io_uring_setup', 'entries:uint params:address', ENOSYS, ASYNCHRONOUS),
  refused(
    'io_uring_enter',
    'fd:fd to_submit:uint min_complete:uint flags:hex sig:address sigsz:size',
    ENOSYS,
    ASYNCHRONOUS,
  ),
  refused('io_uring_register', 'fd:fd opcode:uint arg:address nr_args:uint', ENOSYS, ASYNCHRONOUS),
  refused('userfaultfd', 'flags:hex', ENOSYS, "ENOSYS: faults are the Sentry's alone"),
  refused('fanotify_init', 'flags:hex event_f_flags:open-flags', ENOSYS, 'ENOSYS: inotify only'),
  refused('fanotify_mark', 'fd:fd flags:hex mask:hex dirfd:dirfd pathname:path', ENOSYS, 'ENOSYS: inotify only'),
  refused('modify_ldt', 'func:int ptr:address bytecount:size', ENOSYS, 'ENOSYS: no 16- and 32-bit segments'),
  refused('pkey_alloc', 'flags:hex access_rights:hex', ENOSYS, PROTECTION_KEYS),
  refused('pkey_free', 'pkey:int', ENOSYS, PROTECTION_KEYS),
  refused('landlock_create_ruleset', 'attr:address size:size flags:hex', EOPNOTSUPP, LANDLOCK),
  refused('landlock_add_rule', 'ruleset_fd:fd rule_type:int rule_attr:address flags:hex', EOPNOTSUPP, LANDLOCK),
  refused('landlock_restrict_self', 'ruleset_fd:fd flags:hex', EOPNOTSUPP, LANDLOCK),
  refused('open_tree', 'dirfd:dirfd path:path flags:hex', ENOSYS, MOUNT_API),
  refused('move_mount', 'from_dirfd:dirfd from_path:path to_dirfd:dirfd to_path:path flags:hex', ENOSYS, MOUNT_API),
  refused('fsopen', 'fs_name:string flags:hex', ENOSYS, MOUNT_API),
  refused('fsconfig', 'fs_fd:fd cmd:int key:string value:address aux:int', ENOSYS, MOUNT_API),
  refused('fsmount', 'fs_fd:fd flags:hex ms_flags:hex', ENOSYS, MOUNT_API),
  refused('fspick', 'dirfd:dirfd path:path flags:hex', ENOSYS, MOUNT_API),
  refused('mount_setattr', 'dirfd:dirfd path:path flags:hex uattr:address usize:size', ENOSYS, MOUNT_API),
  refused('lookup_dcookie', 'cookie:hex buffer:address len:size', ENOSYS, GONE),
  refused('memfd_secret', 'flags:hex', ENOSYS, 'ENOSYS: as with secretmem disabled'),
  refused('map_shadow_stack', 'addr:address size:size flags:hex', EOPNOTSUPP, 'EOPNOTSUPP: no shadow stacks'),
  refused('uselib', 'library:path', ENOSYS, GONE),
  refused('ustat', 'dev:hex ubuf:address', ENOSYS, 'ENOSYS: statfs(2) tells more'),
  refused('sysfs', 'option:int arg1:hex arg2:hex', ENOSYS, 'ENOSYS: /proc/filesystems tells the same'),
  refused('_sysctl', 'args:address', ENOSYS, GONE),
  refused('create_module', 'name:string size:size', ENOSYS, GONE),
  refused('get_kernel_syms', 'table:address', ENOSYS, GONE),
  refused('query_module', 'name:string which:int buf:address bufsize:size ret:address', ENOSYS, GONE),
  refused('nfsservctl', 'cmd:int argp:address resp:address', ENOSYS, GONE),
  refused('set_thread_area', 'u_info:address', ENOSYS, 'ENOSYS: as in 64-bit Linux; arch_prctl(2) sets FS'),
  refused('get_thread_area', 'u_info:address', ENOSYS, 'ENOSYS: as in 64-bit Linux'),
  refused('epoll_ctl_old', '', ENOSYS, GONE),
  refused('epoll_wait_old', '', ENOSYS, GONE),
  refused('vserver', '', ENOSYS, GONE),
  refused('getpmsg', '', ENOSYS, GONE),
  refused('putpmsg', '', ENOSYS, GONE),
  refused('afs_syscall', '', ENOSYS, GONE),
  refused('tuxcall', '', ENOSYS, GONE),
  refused('security', '', ENOSYS, GONE),
];
