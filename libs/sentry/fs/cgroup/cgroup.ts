import { CGROUP2_SUPER_MAGIC, makedev } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel } from '../../kernel/kernel.js';
import { PAGE_SIZE } from '../../platform/platform.js';
import { LazyDirectory, SyntheticFile, SyntheticFileSystem } from '../synthetic/file-system.js';

/** The period of cpu.max in microseconds, as cgroups default to. */
const CPU_PERIOD_US = 100_000;

type Generate = (kernel: Kernel) => string;

/** cgroup v2 says "max" for no limit. */
const orMax = (limit: number): string => (Number.isFinite(limit) ? `${limit}\n` : 'max\n');

/** "name value" lines. */
const table = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${value}\n`)
    .join('');

/** Ids of the processes that have threads: Linux lists no zombies here. */
function processes(kernel: Kernel): string {
  let text = '';
  for (const group of kernel.groups.values()) if (group.tasks.size > 0) text += `${group.pid}\n`;
  return text;
}

function threads(kernel: Kernel): string {
  let text = '';
  for (const group of kernel.groups.values()) for (const task of group.tasks) text += `${task.tid}\n`;
  return text;
}

/** What Linux has for a cgroup; what this kernel keeps no account of is 0. */
function memoryStat({ frames }: Kernel): string {
  const shared = frames.sharedFrames * PAGE_SIZE;
  const anonymous = frames.committed - shared;
  return table({
    anon: anonymous,
    file: shared,
    kernel: 0,
    kernel_stack: 0,
    pagetables: 0,
    percpu: 0,
    sock: 0,
    vmalloc: 0,
    shmem: shared,
    file_mapped: 0,
    file_dirty: 0,
    file_writeback: 0,
    swapcached: 0,
    anon_thp: 0,
    file_thp: 0,
    shmem_thp: 0,
    inactive_anon: shared,
    active_anon: anonymous,
    inactive_file: 0,
    active_file: 0,
    unevictable: 0,
    slab_reclaimable: 0,
    slab_unreclaimable: 0,
    slab: 0,
    pgfault: 0,
    pgmajfault: 0,
  });
}

function memoryEvents({ frames, outOfMemoryKills }: Kernel): string {
  const hits = frames.limitHits;
  return table({ low: 0, high: 0, max: hits, oom: outOfMemoryKills, oom_kill: outOfMemoryKills, oom_group_kill: 0 });
}

function cpuStat(kernel: Kernel): string {
  const { user, system } = kernel.cpuAccounting.total();
  return table({
    usage_usec: Math.floor((user + system) / 1000),
    user_usec: Math.floor(user / 1000),
    system_usec: Math.floor(system / 1000),
    nr_periods: 0,
    nr_throttled: 0,
    throttled_usec: 0,
    nr_bursts: 0,
    burst_usec: 0,
  });
}

/** cgroups(7) and Linux's cgroup-v2.rst: the sandbox is the one cgroup that its processes see, as in a cgroup namespace. */
const FILES: Readonly<Record<string, Generate>> = {
  'cgroup.controllers': () => 'cpu memory pids\n',
  'cgroup.subtree_control': () => '\n',
  'cgroup.type': () => 'domain\n',
  'cgroup.procs': processes,
  'cgroup.threads': threads,
  'cgroup.events': () => 'populated 1\nfrozen 0\n',
  'cgroup.freeze': () => '0\n',
  'cgroup.stat': () => 'nr_descendants 0\nnr_dying_descendants 0\n',
  'cgroup.max.depth': () => '0\n',
  'cgroup.max.descendants': () => '0\n',
  'cpu.max': (kernel) => `${kernel.cpus * CPU_PERIOD_US} ${CPU_PERIOD_US}\n`,
  'cpu.max.burst': () => '0\n',
  'cpu.weight': () => '100\n',
  'cpu.weight.nice': () => '0\n',
  'cpu.idle': () => '0\n',
  'cpu.stat': cpuStat,
  'memory.max': ({ frames }) => orMax(frames.limit),
  'memory.high': () => 'max\n',
  'memory.low': () => '0\n',
  'memory.min': () => '0\n',
  'memory.current': ({ frames }) => `${frames.committed}\n`,
  'memory.peak': ({ frames }) => `${frames.peak}\n`,
  'memory.stat': memoryStat,
  'memory.events': memoryEvents,
  'memory.events.local': memoryEvents,
  'memory.oom.group': () => '0\n',
  'memory.swap.max': () => '0\n',
  'memory.swap.current': () => '0\n',
  'memory.swap.events': () => 'high 0\nmax 0\nfail 0\n',
  'pids.max': (kernel) => orMax(kernel.taskLimit),
  'pids.current': (kernel) => `${kernel.tasks.size}\n`,
  'pids.peak': (kernel) => `${kernel.peakTasks}\n`,
  'pids.events': (kernel) => `max ${kernel.refusedTasks}\n`,
};

/** The file system for /sys/fs/cgroup, read-only as in a container: the limits are set from outside. */
export function createCgroupFileSystem(kernel: Kernel): SyntheticFileSystem {
  const now = { seconds: 0, nanoseconds: 0 };
  kernel.clock.read(CLOCK_REALTIME, now);
  const fileSystem = new SyntheticFileSystem('cgroup2', makedev(0, 0x1b), CGROUP2_SUPER_MAGIC, now, true);
  fileSystem.root = new LazyDirectory(fileSystem, 0o755, (root) => {
    for (const [name, generate] of Object.entries(FILES)) {
      root.add(name, new SyntheticFile(fileSystem, () => generate(kernel)));
    }
  });
  return fileSystem;
}
