import { ENOSYS, EPERM } from '../../abi/errno.js';
import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, refused, type SyscallRow } from '../row.js';
import { archPrctl } from './arch-prctl.js';
import { capget, capset } from './capabilities.js';
import { clone, clone3, fork, vfork } from './clone.js';
import { execve, execveat } from './execve.js';
import { exit, exitGroup } from './exit.js';
import { getpgid, getpgrp, getpid, getppid, getsid, gettid, setpgid, setsid } from './ids.js';
import { kcmp } from './kcmp.js';
import { keyctl } from './keyctl.js';
import { addKey, requestKey } from './keys.js';
import { landlockAddRule, landlockCreateRuleset, landlockRestrictSelf } from './landlock.js';
import { personality, unshare } from './namespaces.js';
import { pidfdGetfd, pidfdOpen, pidfdSendSignal } from './pidfd.js';
import { prctl } from './prctl.js';
import { getpriority, ioprioGet, ioprioSet, setpriority } from './priority.js';
import { ptrace } from './ptrace.js';
import { getrlimit, prlimit64, setrlimit } from './rlimit.js';
import { getrusage, times } from './rusage.js';
import { seccomp } from './seccomp.js';
import * as ids from './user-ids.js';
import { wait4, waitid } from './wait.js';

const SECURITY = { security: true } as const;
const NO_FILE_CAPABILITIES = 'capabilities of files (security.capability) have no effect; set-user-ID bits do';
const NO_FAULT_COUNTS = 'faults, switches and block I/O are 0';

/** System calls of the process family: one row each. */
export const processRows: readonly SyscallRow[] = [
  full('fork', '', own(fork)),
  full('vfork', '', own(vfork)),
  partial(
    'clone',
    'flags:clone-flags stack:address parent_tid:address child_tid:address tls:address',
    own(clone),
    'namespaces are refused: EPERM, for root EINVAL',
  ),
  partial('clone3', 'args:address size:size', own(clone3), 'as clone; set_tid EPERM, CLONE_INTO_CGROUP EINVAL'),
  partial('execve', 'path:path argv:strings envp:strings', own(execve), NO_FILE_CAPABILITIES, SECURITY),
  partial(
    'execveat',
    'dirfd:dirfd path:path argv:strings envp:strings flags:at-flags',
    own(execveat),
    NO_FILE_CAPABILITIES,
    SECURITY,
  ),
  full('exit', 'status:int', own(exit), { result: 'none' }),
  full('exit_group', 'status:int', own(exitGroup), { result: 'none' }),
  partial(
    'wait4',
    'pid:pid status:wait-status-out options:wait-options rusage:address',
    own(wait4),
    '__WNOTHREAD waits for the children of all threads',
  ),
  partial(
    'waitid',
    'idtype:id-type id:pid info:siginfo-out options:wait-options rusage:address',
    own(waitid),
    '__WNOTHREAD waits for the children of all threads',
  ),

  full('getpid', '', own(getpid)),
  full('gettid', '', own(gettid)),
  full('getppid', '', own(getppid)),
  full('getpgid', 'pid:pid', own(getpgid)),
  full('getpgrp', '', own(getpgrp)),
  full('setpgid', 'pid:pid pgid:pid', own(setpgid)),
  full('getsid', 'pid:pid', own(getsid)),
  full('setsid', '', own(setsid)),

  full('getuid', '', own(ids.getuid)),
  full('geteuid', '', own(ids.geteuid)),
  full('getgid', '', own(ids.getgid)),
  full('getegid', '', own(ids.getegid)),
  full('setuid', 'uid:int', own(ids.setuid), SECURITY),
  full('setgid', 'gid:int', own(ids.setgid), SECURITY),
  full('setreuid', 'ruid:int euid:int', own(ids.setreuid), SECURITY),
  full('setregid', 'rgid:int egid:int', own(ids.setregid), SECURITY),
  full('setresuid', 'ruid:int euid:int suid:int', own(ids.setresuid), SECURITY),
  full('setresgid', 'rgid:int egid:int sgid:int', own(ids.setresgid), SECURITY),
  full('getresuid', 'ruid:address euid:address suid:address', own(ids.getresuid)),
  full('getresgid', 'rgid:address egid:address sgid:address', own(ids.getresgid)),
  full('setfsuid', 'uid:int', own(ids.setfsuid), SECURITY),
  full('setfsgid', 'gid:int', own(ids.setfsgid), SECURITY),
  full('getgroups', 'size:int list:address', own(ids.getgroups)),
  full('setgroups', 'size:size list:address', own(ids.setgroups), SECURITY),
  full('capget', 'header:address data:address', own(capget)),
  full('capset', 'header:address data:address', own(capset), SECURITY),

  partial(
    'prctl',
    'option:prctl-option arg2:hex arg3:hex arg4:hex arg5:hex',
    own(prctl),
    'PDEATHSIG, DUMPABLE, KEEPCAPS, NAME, CAPBSET, AMBIENT, TIMERSLACK, SUBREAPER, NO_NEW_PRIVS, PTRACER, SECCOMP, SYSCALL_USER_DISPATCH; others EINVAL',
  ),
  partial(
    'arch_prctl',
    'code:arch-prctl address:address',
    own(archPrctl),
    'FS and GS base; CET and CPUID faulting refused',
  ),
  full('getrlimit', 'resource:rlimit limit:address', own(getrlimit)),
  full('setrlimit', 'resource:rlimit limit:address', own(setrlimit)),
  partial(
    'prlimit64',
    'pid:pid resource:rlimit new:address old:address',
    own(prlimit64),
    'hard limits that bound the sandbox (NOFILE, NPROC, FSIZE) cannot be raised, by root neither',
  ),
  partial('getrusage', 'who:int usage:address', own(getrusage), NO_FAULT_COUNTS),
  full('times', 'buf:address', own(times)),
  partial('getpriority', 'which:int who:int', own(getpriority), 'stored only: scheduling is the host’s'),
  partial('setpriority', 'which:int who:int prio:int', own(setpriority), 'stored only: scheduling is the host’s'),
  partial('ioprio_get', 'which:int who:int', own(ioprioGet), 'stored only'),
  partial('ioprio_set', 'which:int who:int ioprio:int', own(ioprioSet), 'stored only'),
  partial('pidfd_open', 'pid:pid flags:open-flags', own(pidfdOpen), 'processes only (no PIDFD_THREAD)', {
    result: 'fd',
  }),
  full('pidfd_send_signal', 'pidfd:fd sig:signal info:address flags:hex', own(pidfdSendSignal), SECURITY),
  full('pidfd_getfd', 'pidfd:fd targetfd:fd flags:hex', own(pidfdGetfd), { ...SECURITY, result: 'fd' }),
  full('kcmp', 'pid1:pid pid2:pid type:int idx1:hex idx2:hex', own(kcmp)),
  partial('unshare', 'flags:clone-flags', own(unshare), 'CLONE_FS and CLONE_FILES; namespaces EPERM'),
  refused('setns', 'fd:fd nstype:hex', EPERM, 'there are no namespaces in the sandbox'),
  partial('personality', 'persona:hex', own(personality), 'stored only; PER_LINUX is the only domain'),
  partial(
    'seccomp',
    'operation:seccomp-op flags:hex args:address',
    own(seccomp),
    'no listener (SECCOMP_FILTER_FLAG_NEW_LISTENER: EINVAL); LOG is told by the audit log alone',
    SECURITY,
  ),
  partial('landlock_create_ruleset', 'attr:address size:size flags:hex', own(landlockCreateRuleset), 'ABI 1', {
    result: 'fd',
  }),
  full('landlock_add_rule', 'ruleset_fd:fd rule_type:int rule_attr:address flags:hex', own(landlockAddRule)),
  full('landlock_restrict_self', 'ruleset_fd:fd flags:hex', own(landlockRestrictSelf), SECURITY),
  partial(
    'add_key',
    'type:string description:string payload:address plen:size keyring:int',
    own(addKey),
    'types user, logon and keyring; others ENODEV',
  ),
  partial(
    'request_key',
    'type:string description:string callout_info:string dest_keyring:int',
    own(requestKey),
    'finds keys; there is nobody to be asked to make one: ENOKEY',
  ),
  partial(
    'keyctl',
    'cmd:int arg2:hex arg3:hex arg4:hex arg5:hex',
    own(keyctl),
    'no keys made on request, no persistent key rings, no cryptography: EPERM, EOPNOTSUPP',
  ),
  partial(
    'ptrace',
    'request:ptrace-request pid:pid address:address data:address',
    own(ptrace),
    'no hardware breakpoints (debug registers take 0, else EIO); SINGLEBLOCK, requests of 32-bit programs and for rseq EIO; SECCOMP_GET_FILTER EACCES, for root EINVAL; 32-bit entries (int 0x80) do not stop',
  ),
  refused('rseq', 'rseq:address len:size flags:hex sig:hex', ENOSYS, 'glibc does without'),
];
