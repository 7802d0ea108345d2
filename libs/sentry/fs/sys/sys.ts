import { makedev, SYSFS_MAGIC } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel } from '../../kernel/types.js';
import { StaticDirectory, SyntheticFile, SyntheticFileSystem } from '../synthetic/file-system.js';

/** Clock ticks of cpu.max: a period of 100 ms, as cgroups default to. */
const CPU_PERIOD_US = 100_000;

type Generate = (kernel: Kernel) => string;

const cpuList = (kernel: Kernel): string => (kernel.cpus === 1 ? '0\n' : `0-${kernel.cpus - 1}\n`);

/** cgroup v2 says "max" for no limit. */
const bytesOrMax = (bytes: number): string => (Number.isFinite(bytes) ? `${bytes}\n` : 'max\n');

/**
 * What runtimes size themselves by. One truth with sched_getaffinity, /proc/cpuinfo and /proc/meminfo: the sandbox's CPUs and
 * memory limit. cgroup v2 only (cgroups(7)).
 */
const FILES: Readonly<Record<string, Generate>> = {
  'devices/system/cpu/online': cpuList,
  'devices/system/cpu/possible': cpuList,
  'devices/system/cpu/present': cpuList,
  'devices/system/cpu/offline': () => '\n',
  'devices/system/cpu/kernel_max': () => '8191\n',
  'devices/system/node/online': () => '0\n',
  'devices/system/node/possible': () => '0\n',
  'devices/system/node/has_cpu': () => '0\n',
  'devices/system/node/node0/cpulist': cpuList,
  'devices/system/clocksource/clocksource0/current_clocksource': () => 'tsc\n',
  'kernel/mm/transparent_hugepage/enabled': () => 'always madvise [never]\n',
  'kernel/mm/transparent_hugepage/hpage_pmd_size': () => '2097152\n',
  'fs/cgroup/cgroup.controllers': () => 'cpu memory pids\n',
  'fs/cgroup/cgroup.type': () => 'domain\n',
  'fs/cgroup/cpu.max': (kernel) => `${kernel.cpus * CPU_PERIOD_US} ${CPU_PERIOD_US}\n`,
  'fs/cgroup/cpu.weight': () => '100\n',
  'fs/cgroup/memory.max': (kernel) => bytesOrMax(kernel.frames.limit),
  'fs/cgroup/memory.high': () => 'max\n',
  'fs/cgroup/memory.current': (kernel) => `${kernel.frames.committed}\n`,
  'fs/cgroup/memory.peak': (kernel) => `${kernel.frames.peak}\n`,
  'fs/cgroup/memory.swap.max': () => '0\n',
  'fs/cgroup/pids.max': (kernel) => `${kernel.taskLimit}\n`,
  'fs/cgroup/pids.current': (kernel) => `${kernel.tasks.size}\n`,
};

/** Directories that are there though empty. */
const DIRECTORIES = ['class/net', 'bus', 'block', 'dev/block', 'dev/char', 'module'];

/** /sys of a sandbox. */
export function createSysFileSystem(kernel: Kernel): SyntheticFileSystem {
  const now = { seconds: 0, nanoseconds: 0 };
  kernel.clock.read(CLOCK_REALTIME, now);
  const fileSystem = new SyntheticFileSystem('sysfs', makedev(0, 0x15), SYSFS_MAGIC, now);
  const root = new StaticDirectory(fileSystem, 0o755);
  fileSystem.root = root;
  const made = new Map<string, StaticDirectory>([['', root]]);
  const directory = (path: string): StaticDirectory => {
    const known = made.get(path);
    if (known) return known;
    const slash = path.lastIndexOf('/');
    const parent = directory(slash < 0 ? '' : path.slice(0, slash));
    const fresh = new StaticDirectory(fileSystem, 0o755);
    parent.add(path.slice(slash + 1), fresh);
    made.set(path, fresh);
    return fresh;
  };
  for (const path of DIRECTORIES) directory(path);
  for (const [path, generate] of Object.entries(FILES)) {
    const slash = path.lastIndexOf('/');
    directory(path.slice(0, slash)).add(path.slice(slash + 1), new SyntheticFile(fileSystem, () => generate(kernel)));
  }
  for (let cpu = 0; cpu < kernel.cpus; cpu++) {
    directory(`devices/system/cpu/cpu${cpu}/topology`).add('core_id', new SyntheticFile(fileSystem, () => `${cpu}\n`));
  }
  return fileSystem;
}
