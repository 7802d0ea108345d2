import { RELEASE, SYSNAME, VERSION } from '../../abi/utsname.js';
import type { Kernel } from '../../kernel/kernel.js';
import { RunState } from '../../kernel/run-state.js';
import { PAGE_SIZE } from '../../platform/platform.js';
import { joinLines } from './text.js';

/** Clock ticks per second as user space counts them (sysconf(_SC_CLK_TCK)). */
export const USER_HZ = 100;
export const ticks = (nanoseconds: number): number => Math.floor(nanoseconds / (1e9 / USER_HZ));

const kib = (bytes: number): number => Math.floor(bytes / 1024);

/** Seconds since the sandbox started. */
const uptimeSeconds = (kernel: Kernel): number => (kernel.clock.monotonic() - kernel.bootTime) / 1e9;

const running = (kernel: Kernel): number => {
  let count = 0;
  for (const task of kernel.tasks.values()) {
    if (task.runState === RunState.Running || task.runState === RunState.Ready) count++;
  }
  return count;
};

function meminfo(kernel: Kernel): string {
  const total = kib(kernel.frames.limit);
  const free = Math.max(0, total - kib(kernel.frames.committed));
  const used = total - free;
  const shared = Math.min(used, kib(kernel.frames.sharedFrames * PAGE_SIZE));
  const rows: readonly (readonly [string, number])[] = [
    ['MemTotal', total],
    ['MemFree', free],
    ['MemAvailable', free],
    ['Buffers', 0],
    ['Cached', shared],
    ['SwapCached', 0],
    ['Active', used - shared],
    ['Inactive', shared],
    ['Active(anon)', used - shared],
    ['Inactive(anon)', shared],
    ['Active(file)', 0],
    ['Inactive(file)', 0],
    ['Unevictable', 0],
    ['Mlocked', 0],
    ['SwapTotal', 0],
    ['SwapFree', 0],
    ['Dirty', 0],
    ['Writeback', 0],
    ['AnonPages', used - shared],
    ['Mapped', 0],
    ['Shmem', shared],
    ['KReclaimable', 0],
    ['Slab', 0],
    ['SReclaimable', 0],
    ['SUnreclaim', 0],
    ['KernelStack', 0],
    ['PageTables', 0],
    ['NFS_Unstable', 0],
    ['Bounce', 0],
    ['WritebackTmp', 0],
    ['CommitLimit', total],
    ['Committed_AS', used],
    ['VmallocTotal', 34359738367],
    ['VmallocUsed', 0],
    ['VmallocChunk', 0],
    ['Percpu', 0],
    ['AnonHugePages', 0],
  ];
  const lines = rows.map(([name, value]) => `${`${name}:`.padEnd(16)}${String(value).padStart(8)} kB`);
  const pages = ['HugePages_Total', 'HugePages_Free', 'HugePages_Rsvd', 'HugePages_Surp'];
  return joinLines([
    ...lines,
    ...pages.map((name) => `${`${name}:`.padEnd(16)}${'0'.padStart(8)}`),
    `Hugepagesize:   ${'2048'.padStart(8)} kB`,
    `Hugetlb:        ${'0'.padStart(8)} kB`,
  ]);
}

/** What every x86-64 has; more is asked of the CPUID instruction, which runs natively. */
const CPU_FLAGS =
  'fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx lm constant_tsc rep_good nopl cpuid';

function cpuinfo(kernel: Kernel): string {
  let text = '';
  for (let cpu = 0; cpu < kernel.cpus; cpu++) {
    text += joinLines([
      `processor\t: ${cpu}`,
      'vendor_id\t: Cordon',
      'cpu family\t: 6',
      'model\t\t: 1',
      'model name\t: Cordon Virtual CPU',
      'stepping\t: 1',
      'microcode\t: 0x1',
      'cpu MHz\t\t: 2000.000',
      'cache size\t: 16384 KB',
      'physical id\t: 0',
      `siblings\t: ${kernel.cpus}`,
      `core id\t\t: ${cpu}`,
      `cpu cores\t: ${kernel.cpus}`,
      `apicid\t\t: ${cpu}`,
      `initial apicid\t: ${cpu}`,
      'fpu\t\t: yes',
      'fpu_exception\t: yes',
      'cpuid level\t: 13',
      'wp\t\t: yes',
      `flags\t\t: ${CPU_FLAGS}`,
      'bugs\t\t:',
      'bogomips\t: 4000.00',
      'clflush size\t: 64',
      'cache_alignment\t: 64',
      'address sizes\t: 46 bits physical, 48 bits virtual',
      'power management:',
      '',
    ]);
  }
  return text;
}

function stat(kernel: Kernel): string {
  const { cpus } = kernel;
  const times = kernel.cpuAccounting.total();
  const user = ticks(times.user);
  const system = ticks(times.system);
  const all = Math.floor(uptimeSeconds(kernel) * USER_HZ) * cpus;
  const idle = Math.max(0, all - user - system);
  const line = (name: string, share: number): string => {
    const [ownUser, ownSystem, ownIdle] = [user, system, idle].map((value) => Math.floor(value / share));
    return `${name} ${ownUser} 0 ${ownSystem} ${ownIdle} 0 0 0 0 0 0`;
  };
  const lines = [line('cpu ', 1)];
  for (let cpu = 0; cpu < cpus; cpu++) lines.push(line(`cpu${cpu}`, cpus));
  const blocked = 0;
  return joinLines([
    ...lines,
    'intr 0',
    `ctxt ${kernel.syscallCount}`,
    `btime ${Math.floor(kernel.clock.realtimeSeconds() - uptimeSeconds(kernel))}`,
    `processes ${kernel.pids.last}`,
    `procs_running ${running(kernel)}`,
    `procs_blocked ${blocked}`,
    'softirq 0 0 0 0 0 0 0 0 0 0 0',
  ]);
}

function uptime(kernel: Kernel): string {
  const seconds = uptimeSeconds(kernel);
  const { user, system } = kernel.cpuAccounting.total();
  const idle = Math.max(0, seconds * kernel.cpus - (user + system) / 1e9);
  return `${seconds.toFixed(2)} ${idle.toFixed(2)}\n`;
}

function loadavg(kernel: Kernel): string {
  kernel.loadAverage.update(kernel.clock.monotonic());
  const averages = kernel.loadAverage.values.map((value) => value.toFixed(2)).join(' ');
  return `${averages} ${running(kernel)}/${kernel.tasks.size} ${kernel.pids.last}\n`;
}

/** Files of the /proc root: name and content. */
export const SYSTEM_FILES: readonly (readonly [name: string, generate: (kernel: Kernel) => string])[] = [
  ['meminfo', meminfo],
  ['cpuinfo', cpuinfo],
  ['stat', stat],
  ['uptime', uptime],
  ['loadavg', loadavg],
  ['version', () => `${SYSNAME} version ${RELEASE} (cordon@localhost) (cordon) ${VERSION}\n`],
  ['cmdline', () => 'BOOT_IMAGE=cordon\n'],
  [
    'filesystems',
    () =>
      joinLines(
        ['sysfs', 'tmpfs', 'proc', 'devtmpfs', 'cgroup2', 'mqueue', 'pipefs', 'sockfs', 'devpts', 'overlay'].map(
          (name) => `nodev\t${name}`,
        ),
      ),
  ],
  [
    'devices',
    () => 'Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n',
  ],
  ['cgroups', () => '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n'],
  ['swaps', () => 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'],
  ['partitions', () => 'major minor  #blocks  name\n\n'],
  ['diskstats', () => ''],
  ['modules', () => ''],
  [
    'interrupts',
    (kernel) => `${' '.repeat(4)}${Array.from({ length: kernel.cpus }, (_, cpu) => `       CPU${cpu}`).join('')}\n`,
  ],
  [
    'vmstat',
    (kernel) =>
      `nr_free_pages ${Math.max(0, Math.floor((kernel.frames.limit - kernel.frames.committed) / 4096))}\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill 0\n`,
  ],
];
