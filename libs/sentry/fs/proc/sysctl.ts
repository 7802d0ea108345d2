import { AIO_MAX_NR } from '../../abi/aio.js';
import { CAP_LAST_CAP, CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EINVAL, EPERM } from '../../abi/errno.js';
import * as IPC from '../../abi/ipc.js';
import { RELEASE, SYSNAME, VERSION } from '../../abi/utsname.js';
import { aioReserved } from '../../kernel/aio.js';
import type { Kernel } from '../../kernel/kernel.js';
import { KEYS_MAX, KEYS_MAX_BYTES, ROOT_KEYS_MAX, ROOT_KEYS_MAX_BYTES } from '../../kernel/keys/key-store.js';
import { hasCapability } from '../../vfs/permissions.js';
import type { Caller } from '../../vfs/types.js';
import { StaticDirectory, SyntheticFile, type SyntheticFileSystem } from '../synthetic/file-system.js';

/** Sixteen random bytes as a version 4 UUID. */
function uuid(kernel: Kernel): string {
  const bytes = new Uint8Array(16);
  kernel.random(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const text = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`;
}

interface Setting {
  readonly path: string;
  readonly value: (kernel: Kernel) => string | number;
  /** Root of the sandbox may set it; it is kept here and changes nothing else unless it says so. */
  readonly set?: (kernel: Kernel, text: string) => number;
}

const constant = (path: string, value: string | number): Setting => ({ path, value: () => value });

const setName =
  (assign: (kernel: Kernel, name: string) => void) =>
  (kernel: Kernel, text: string): number => {
    if (text.length > 64) return -EINVAL;
    assign(kernel, text);
    return 0;
  };

/** /proc/sys: what Linux has by default, and what is true of this kernel. */
function settings(kernel: Kernel): readonly Setting[] {
  const bootId = uuid(kernel);
  return [
    {
      path: 'kernel/hostname',
      value: () => kernel.hostname,
      set: setName((target, name) => {
        target.hostname = name;
      }),
    },
    {
      path: 'kernel/domainname',
      value: () => kernel.domainname,
      set: setName((target, name) => {
        target.domainname = name;
      }),
    },
    constant('kernel/ostype', SYSNAME),
    constant('kernel/osrelease', RELEASE),
    constant('kernel/version', VERSION),
    constant('kernel/pid_max', 32768),
    { path: 'kernel/threads-max', value: () => kernel.taskLimit },
    constant('kernel/ngroups_max', 65536),
    constant('kernel/cap_last_cap', CAP_LAST_CAP),
    constant('kernel/random/boot_id', bootId),
    { path: 'kernel/random/uuid', value: () => uuid(kernel) },
    constant('kernel/random/entropy_avail', 256),
    constant('kernel/random/poolsize', 256),
    constant('kernel/randomize_va_space', 2),
    constant('kernel/overflowuid', 65534),
    constant('kernel/overflowgid', 65534),
    constant('kernel/core_pattern', 'core'),
    constant('kernel/core_uses_pid', 0),
    constant('kernel/dmesg_restrict', 1),
    constant('kernel/kptr_restrict', 1),
    constant('kernel/perf_event_paranoid', 3),
    constant('kernel/unprivileged_bpf_disabled', 2),
    constant('kernel/yama/ptrace_scope', 0),
    constant('kernel/seccomp/actions_avail', 'kill_process kill_thread trap errno trace log allow'),
    constant('kernel/seccomp/actions_logged', 'kill_process kill_thread trap errno trace log'),
    constant('kernel/keys/maxkeys', KEYS_MAX),
    constant('kernel/keys/maxbytes', KEYS_MAX_BYTES),
    constant('kernel/keys/root_maxkeys', ROOT_KEYS_MAX),
    constant('kernel/keys/root_maxbytes', ROOT_KEYS_MAX_BYTES),
    constant('kernel/shmmax', '18446744073692774399'),
    constant('kernel/shmall', '18446744073692774399'),
    constant('kernel/shmmni', IPC.SHMMNI),
    constant('kernel/sem', `${IPC.SEMMSL}\t${IPC.SEMMNS}\t${IPC.SEMOPM}\t${IPC.SEMMNI}`),
    constant('kernel/msgmax', IPC.MSGMAX),
    constant('kernel/msgmnb', IPC.MSGMNB),
    constant('kernel/msgmni', IPC.MSGMNI),
    constant('kernel/shm_rmid_forced', 0),
    constant('kernel/sched_child_runs_first', 0),
    constant('kernel/panic', 0),
    constant('kernel/tainted', 0),
    constant('kernel/sysrq', 0),
    constant('kernel/io_uring_disabled', 2),
    constant('vm/overcommit_memory', 1),
    constant('vm/overcommit_ratio', 50),
    constant('vm/max_map_count', 65530),
    constant('vm/mmap_min_addr', 65536),
    constant('vm/swappiness', 60),
    constant('vm/nr_hugepages', 0),
    constant('vm/page-cluster', 3),
    constant('vm/min_free_kbytes', 4096),
    constant('fs/pipe-max-size', 1048576),
    constant('fs/pipe-user-pages-soft', 16384),
    constant('fs/dir-notify-enable', 1),
    constant('fs/file-max', 1048576),
    constant('fs/file-nr', '0\t0\t1048576'),
    constant('fs/nr_open', 1048576),
    constant('fs/inotify/max_user_watches', 65536),
    constant('fs/inotify/max_user_instances', 128),
    constant('fs/inotify/max_queued_events', 16384),
    constant('fs/epoll/max_user_watches', 65536),
    constant('fs/protected_symlinks', 0),
    constant('fs/protected_hardlinks', 1),
    constant('fs/protected_fifos', 0),
    constant('fs/protected_regular', 0),
    constant('fs/suid_dumpable', 0),
    constant('fs/leases-enable', 1),
    {
      path: 'fs/lease-break-time',
      value: () => kernel.leaseBreakTime / 1e9,
      set: (target, text) => {
        if (!/^\d{1,9}$/.test(text)) return -EINVAL;
        target.leaseBreakTime = Number(text) * 1e9;
        return 0;
      },
    },
    constant('fs/aio-max-nr', AIO_MAX_NR),
    { path: 'fs/aio-nr', value: () => aioReserved(kernel) },
    constant('fs/mqueue/msg_default', IPC.MQ_MSG_DEFAULT),
    constant('fs/mqueue/msg_max', IPC.MQ_MSG_MAX),
    constant('fs/mqueue/msgsize_default', IPC.MQ_MSGSIZE_DEFAULT),
    constant('fs/mqueue/msgsize_max', IPC.MQ_MSGSIZE_MAX),
    constant('fs/mqueue/queues_max', IPC.MQ_QUEUES_MAX),
    constant('net/core/somaxconn', 4096),
    constant('net/core/rmem_max', 212992),
    constant('net/core/rmem_default', 212992),
    constant('net/core/wmem_max', 212992),
    constant('net/core/wmem_default', 212992),
    constant('net/ipv4/ip_local_port_range', '32768\t60999'),
    constant('net/ipv4/ip_forward', 0),
    constant('net/ipv4/ip_unprivileged_port_start', 1024),
    constant('net/ipv4/ping_group_range', '1\t0'),
    constant('net/ipv4/tcp_rmem', '4096\t131072\t6291456'),
    constant('net/ipv4/tcp_wmem', '4096\t16384\t4194304'),
    constant('net/ipv4/tcp_keepalive_time', 7200),
    constant('net/ipv4/tcp_keepalive_intvl', 75),
    constant('net/ipv4/tcp_keepalive_probes', 9),
    constant('net/ipv4/tcp_max_syn_backlog', 128),
    constant('net/ipv4/tcp_fin_timeout', 60),
    constant('net/ipv4/tcp_syncookies', 1),
    constant('net/ipv4/tcp_fastopen', 0),
    constant('net/ipv4/tcp_congestion_control', 'cubic'),
    constant('net/ipv4/tcp_available_congestion_control', 'cubic'),
    constant('net/ipv6/conf/all/disable_ipv6', 0),
    constant('net/ipv6/conf/lo/disable_ipv6', 0),
    constant('net/ipv6/bindv6only', 0),
    constant('net/unix/max_dgram_qlen', 512),
    constant('user/max_user_namespaces', 0),
  ];
}

/** Builds /proc/sys. */
export function sysctlDirectory(fileSystem: SyntheticFileSystem, kernel: Kernel): StaticDirectory {
  const root = new StaticDirectory(fileSystem);
  for (const { path, value, set } of settings(kernel)) {
    const names = path.split('/');
    const last = names.pop() as string;
    let directory = root;
    for (const name of names) {
      const known = directory.lookup(name);
      if (known instanceof StaticDirectory) {
        directory = known;
      } else {
        const made = new StaticDirectory(fileSystem);
        directory.add(name, made);
        directory = made;
      }
    }
    const accept =
      set &&
      ((text: string, caller: Caller): number =>
        hasCapability(caller.credentials, CAP_SYS_ADMIN) ? set(kernel, text) : -EPERM);
    directory.add(last, new SyntheticFile(fileSystem, () => `${value(kernel)}\n`, set ? 0o644 : 0o444, accept ?? null));
  }
  return root;
}
