import { EACCES, EINVAL, ESRCH } from '../../abi/errno.js';
import { SIG_DFL, SIG_IGN } from '../../abi/signal.js';
import { major, minor } from '../../abi/stat.js';
import { mayInspect } from '../../kernel/access.js';
import { seccompMode } from '../../kernel/seccomp/enforce.js';
import { SeccompFilter } from '../../kernel/seccomp/filter.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { MemoryManager, RegionInfo } from '../../mm/types.js';
import { pathName } from '../../vfs/path-walk.js';
import { hasCapability } from '../../vfs/permissions.js';
import type { Caller } from '../../vfs/types.js';
import type { Accept } from '../synthetic/file-system.js';
import { mountinfo, mounts, mountstats } from './mount-files.js';
import type { Subject } from './subject.js';
import { ticks } from './system-files.js';
import { hexadecimal, joinLines, mask64 } from './text.js';

const CAP_SYS_RESOURCE = 24;

/** What a file of /proc/N may answer with: a number is -errno. */
export type TaskGenerate = (subject: Subject, caller: Caller) => string | Uint8Array | number;

export interface TaskFile {
  readonly name: string;
  readonly permissions: number;
  readonly generate: TaskGenerate;
  readonly accept?: (subject: Subject, ...parameters: Parameters<Accept>) => number;
  /** Only in /proc/N, not in /proc/N/task/M. */
  readonly processOnly?: boolean;
}

/** Runs with the thread shown and its process; -ESRCH when they are gone. */
const withTask =
  (generate: (task: Task, group: ThreadGroup, subject: Subject) => string) =>
  (subject: Subject): string | number => {
    const { task, group } = subject;
    return task && group ? generate(task, group, subject) : -ESRCH;
  };

/** Runs with the address space; what has none (a zombie) shows as empty. */
const withMemory =
  (generate: (memory: MemoryManager, subject: Subject) => string | Uint8Array) =>
  (subject: Subject): string | Uint8Array | number => {
    if (!subject.group) return -ESRCH;
    const { memory } = subject;
    return memory ? generate(memory, subject) : '';
  };

const PAGE = 4096;
const STATE_NAMES: Readonly<Record<string, string>> = {
  R: 'R (running)',
  S: 'S (sleeping)',
  T: 'T (stopped)',
  t: 't (tracing stop)',
  Z: 'Z (zombie)',
};

function stateOf(task: Task, group: ThreadGroup): string {
  return group.state === 'zombie' ? 'Z' : task.stateLetter();
}

function parentOf(group: ThreadGroup): number {
  return group.parent?.pid ?? 0;
}

interface SignalMasks {
  ignored: readonly [number, number];
  caught: readonly [number, number];
}

function signalMasks(group: ThreadGroup): SignalMasks {
  const ignored: [number, number] = [0, 0];
  const caught: [number, number] = [0, 0];
  const { actions } = group.handlers;
  for (let signal = 1; signal < actions.length; signal++) {
    const { handler } = actions[signal];
    if (handler === SIG_DFL) continue;
    const target = handler === SIG_IGN ? ignored : caught;
    target[signal <= 32 ? 0 : 1] |= 1 << ((signal - 1) & 31);
  }
  return { ignored, caught };
}

/** /proc/N/stat: 52 fields, proc(5). */
function stat(task: Task, group: ThreadGroup, subject: Subject): string {
  const { memory } = subject;
  const layout = memory?.layout;
  const whole = subject.tid === 0;
  const masks = signalMasks(group);
  const { terminal } = group;
  const threads = Math.max(1, group.tasks.size);
  const limit = group.rlimits[5]?.soft ?? Number.POSITIVE_INFINITY;
  const fields: (string | number)[] = [
    whole ? group.pid : task.tid,
    `(${task.comm})`,
    stateOf(task, group),
    parentOf(group),
    group.processGroup.pgid,
    group.session.sid,
    terminal?.deviceNumber ?? 0,
    terminal ? terminal.foregroundGroup : -1,
    0x400000,
    0,
    0,
    0,
    0,
    ticks(whole ? group.userTime() : task.userTime()),
    ticks(whole ? group.systemTime() : task.systemTime),
    ticks(group.childrenUserTime),
    ticks(group.childrenSystemTime),
    20 + task.nice,
    task.nice,
    threads,
    0,
    ticks(Math.max(0, (whole ? group.startTime : task.startTime) - task.kernel.bootTime)),
    memory?.virtualSize ?? 0,
    Math.floor((memory?.residentSize() ?? 0) / PAGE),
    limit === Number.POSITIVE_INFINITY ? '18446744073709551615' : limit,
    layout?.codeStart ?? 0,
    layout?.codeEnd ?? 0,
    layout?.stackTop ?? 0,
    0,
    0,
    task.pending.low & 0x7fffffff,
    task.signalMask[0] & 0x7fffffff,
    masks.ignored[0] & 0x7fffffff,
    masks.caught[0] & 0x7fffffff,
    0,
    0,
    0,
    whole ? group.exitSignal : -1,
    0,
    task.schedulingPriority,
    task.schedulingPolicy,
    0,
    0,
    0,
    layout?.dataStart ?? 0,
    layout?.dataEnd ?? 0,
    layout?.brkStart ?? 0,
    layout?.argStart ?? 0,
    layout?.argEnd ?? 0,
    layout?.envStart ?? 0,
    layout?.envEnd ?? 0,
    group.exitStatus ?? 0,
  ];
  return `${fields.join(' ')}\n`;
}

function status(task: Task, group: ThreadGroup, subject: Subject): string {
  const { memory } = subject;
  const { credentials } = task;
  const { capabilities } = credentials;
  const masks = signalMasks(group);
  const id = subject.tid === 0 ? group.pid : task.tid;
  const set = (halves: readonly number[]): string => mask64(halves[0], halves[1]);
  const memoryLines: string[] = [];
  if (memory) {
    const size = memorySizes(memory);
    const row = (name: string, bytes: number): string => `${name}:\t${String(Math.floor(bytes / 1024)).padStart(8)} kB`;
    memoryLines.push(
      row('VmPeak', memory.virtualSize),
      row('VmSize', memory.virtualSize),
      row('VmLck', 0),
      row('VmPin', 0),
      row('VmHWM', Math.max(group.peakResident, size.resident)),
      row('VmRSS', size.resident),
      row('RssAnon', size.anonymous),
      row('RssFile', size.file),
      row('RssShmem', size.shared),
      row('VmData', size.data),
      row('VmStk', size.stack),
      row('VmExe', size.code),
      row('VmLib', size.library),
      row('VmPTE', 0),
      row('VmSwap', 0),
      row('HugetlbPages', 0),
      'CoreDumping:\t0',
      'THP_enabled:\t0',
    );
  }
  return joinLines([
    `Name:\t${task.comm.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
    `Umask:\t${subject.fs ? subject.fs.umask.toString(8).padStart(4, '0') : '0000'}`,
    `State:\t${STATE_NAMES[stateOf(task, group)] ?? 'R (running)'}`,
    `Tgid:\t${group.pid}`,
    'Ngid:\t0',
    `Pid:\t${id}`,
    `PPid:\t${parentOf(group)}`,
    `TracerPid:\t${task.tracing?.tracer.tid ?? 0}`,
    `Uid:\t${credentials.uid}\t${credentials.euid}\t${credentials.suid}\t${credentials.fsuid}`,
    `Gid:\t${credentials.gid}\t${credentials.egid}\t${credentials.sgid}\t${credentials.fsgid}`,
    `FDSize:\t${fdSize(subject)}`,
    `Groups:\t${credentials.groups.join(' ')} `,
    `NStgid:\t${group.pid}`,
    `NSpid:\t${id}`,
    `NSpgid:\t${group.processGroup.pgid}`,
    `NSsid:\t${group.session.sid}`,
    ...memoryLines,
    `Threads:\t${Math.max(1, group.tasks.size)}`,
    `SigQ:\t${task.pending.length + group.sharedPending.length}/${group.rlimits[11]?.soft ?? 0}`,
    `SigPnd:\t${mask64(task.pending.low, task.pending.high)}`,
    `ShdPnd:\t${mask64(group.sharedPending.low, group.sharedPending.high)}`,
    `SigBlk:\t${mask64(task.signalMask[0], task.signalMask[1])}`,
    `SigIgn:\t${mask64(masks.ignored[0], masks.ignored[1])}`,
    `SigCgt:\t${mask64(masks.caught[0], masks.caught[1])}`,
    `CapInh:\t${set(capabilities.inheritable)}`,
    `CapPrm:\t${set(capabilities.permitted)}`,
    `CapEff:\t${set(capabilities.effective)}`,
    `CapBnd:\t${set(capabilities.bounding)}`,
    `CapAmb:\t${set(capabilities.ambient)}`,
    `NoNewPrivs:\t${credentials.noNewPrivs ? 1 : 0}`,
    `Seccomp:\t${seccompMode(task.seccomp)}`,
    `Seccomp_filters:\t${task.seccomp instanceof SeccompFilter ? task.seccomp.count : 0}`,
    'Speculation_Store_Bypass:\tvulnerable',
    `Cpus_allowed:\t${hexadecimal(cpuMask(task))}`,
    `Cpus_allowed_list:\t${cpuList(task)}`,
    'Mems_allowed:\t1',
    'Mems_allowed_list:\t0',
    'voluntary_ctxt_switches:\t0',
    'nonvoluntary_ctxt_switches:\t0',
  ]);
}

function cpuMask(task: Task): number {
  const all = task.kernel.cpus >= 32 ? 0xffffffff : 2 ** task.kernel.cpus - 1;
  return (task.affinity === 0 ? all : task.affinity & all) >>> 0;
}

function cpuList(task: Task): string {
  const mask = cpuMask(task);
  const parts: string[] = [];
  for (let cpu = 0; cpu < 32; cpu++) {
    if (!(mask & (1 << cpu))) continue;
    let last = cpu;
    while (last < 31 && mask & (1 << (last + 1))) last++;
    parts.push(last > cpu ? `${cpu}-${last}` : String(cpu));
    cpu = last;
  }
  return parts.join(',');
}

/** Slots of the descriptor table: a power of two, at least 64. */
function fdSize(subject: Subject): number {
  const numbers = subject.files?.descriptors() ?? [];
  let size = 64;
  while (size <= (numbers.at(-1) ?? 0)) size *= 2;
  return numbers.length === 0 && !subject.files ? 0 : size;
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;

function memorySizes(memory: MemoryManager) {
  const size = { resident: 0, anonymous: 0, file: 0, shared: 0, data: 0, stack: 0, code: 0, library: 0 };
  const { layout } = memory;
  memory.regions((region) => {
    const length = region.end - region.start;
    size.resident += region.residentBytes;
    if (region.inode === 0) size.anonymous += region.residentBytes;
    else if (region.shared) size.shared += region.residentBytes;
    else size.file += region.residentBytes;
    if (region.name === '[stack]') size.stack += length;
    else if (region.protection & PROT_EXEC) {
      if (layout.codeStart >= region.start && layout.codeStart < region.end) size.code += length;
      else size.library += length;
    } else if (region.protection & PROT_WRITE && !region.shared) size.data += length;
  });
  return size;
}

function statm(memory: MemoryManager): string {
  const size = memorySizes(memory);
  const pages = (bytes: number): number => Math.floor(bytes / PAGE);
  const fields = [
    pages(memory.virtualSize),
    pages(size.resident),
    pages(size.file + size.shared),
    pages(size.code),
    0,
    pages(size.data + size.stack),
    0,
  ];
  return `${fields.join(' ')}\n`;
}

function mapLine(region: RegionInfo): string {
  const { protection } = region;
  const letters = `${protection & PROT_READ ? 'r' : '-'}${protection & PROT_WRITE ? 'w' : '-'}${protection & PROT_EXEC ? 'x' : '-'}${region.shared ? 's' : 'p'}`;
  const head = `${hexadecimal(region.start, 8)}-${hexadecimal(region.end, 8)} ${letters} ${hexadecimal(region.offset, 8)} ${hexadecimal(major(region.device), 2)}:${hexadecimal(minor(region.device), 2)} ${region.inode} `;
  return region.name === '' ? head : head.padEnd(73) + region.name.replace(/\n/g, '\\012');
}

function maps(memory: MemoryManager): string {
  let text = '';
  memory.regions((region) => {
    text += `${mapLine(region)}\n`;
  });
  return text;
}

const SMAPS_NAMES = [
  'Size',
  'KernelPageSize',
  'MMUPageSize',
  'Rss',
  'Pss',
  'Pss_Dirty',
  'Shared_Clean',
  'Shared_Dirty',
  'Private_Clean',
  'Private_Dirty',
  'Referenced',
  'Anonymous',
  'LazyFree',
  'AnonHugePages',
  'ShmemPmdMapped',
  'FilePmdMapped',
  'Shared_Hugetlb',
  'Private_Hugetlb',
  'Swap',
  'SwapPss',
  'Locked',
] as const;

/** Pages are taken as private and dirty where anonymous, as shared and clean where of a file. */
function smapsRows(length: number, resident: number, anonymous: number, rollup: boolean): string {
  const file = resident - anonymous;
  const values: Readonly<Record<string, number>> = {
    Size: length,
    KernelPageSize: PAGE,
    MMUPageSize: PAGE,
    Rss: resident,
    Pss: resident,
    Pss_Dirty: anonymous,
    Shared_Clean: file,
    Private_Dirty: anonymous,
    Referenced: resident,
    Anonymous: anonymous,
  };
  const skipped = rollup ? 3 : 0;
  return joinLines(
    SMAPS_NAMES.slice(skipped).map(
      (name) => `${`${name}:`.padEnd(16)}${String(Math.floor((values[name] ?? 0) / 1024)).padStart(8)} kB`,
    ),
  );
}

function smaps(memory: MemoryManager): string {
  let text = '';
  memory.regions((region) => {
    const anonymous = region.inode === 0 ? region.residentBytes : 0;
    const { protection } = region;
    const flags = `${protection & PROT_READ ? 'rd ' : ''}${protection & PROT_WRITE ? 'wr ' : ''}${protection & PROT_EXEC ? 'ex ' : ''}${region.shared ? 'sh ' : ''}mr mw me ${region.name === '[stack]' ? 'gd ' : ''}ac `;
    text += `${mapLine(region)}\n${smapsRows(region.end - region.start, region.residentBytes, anonymous, false)}THPeligible:    0\nVmFlags: ${flags}\n`;
  });
  return text;
}

function smapsRollup(memory: MemoryManager): string {
  let first = -1;
  let last = 0;
  let resident = 0;
  let anonymous = 0;
  memory.regions((region) => {
    if (first < 0) first = region.start;
    last = region.end;
    resident += region.residentBytes;
    if (region.inode === 0) anonymous += region.residentBytes;
  });
  const head = `${hexadecimal(Math.max(first, 0), 8)}-${hexadecimal(last, 8)} ---p 00000000 00:00 0 `.padEnd(73);
  return `${head}[rollup]\n${smapsRows(0, resident, anonymous, true)}`;
}

/** Most bytes of argv or environment that are shown. */
const AREA_MAX = 2 * 1024 * 1024;

function area(memory: MemoryManager, start: number, end: number): Uint8Array {
  const length = Math.max(0, Math.min(end - start, AREA_MAX));
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, memory.copyIn(start, bytes, 0, length));
}

const LIMIT_ROWS: readonly (readonly [name: string, resource: number, unit: string])[] = [
  ['Max cpu time', 0, 'seconds'],
  ['Max file size', 1, 'bytes'],
  ['Max data size', 2, 'bytes'],
  ['Max stack size', 3, 'bytes'],
  ['Max core file size', 4, 'bytes'],
  ['Max resident set', 5, 'bytes'],
  ['Max processes', 6, 'processes'],
  ['Max open files', 7, 'files'],
  ['Max locked memory', 8, 'bytes'],
  ['Max address space', 9, 'bytes'],
  ['Max file locks', 10, 'locks'],
  ['Max pending signals', 11, 'signals'],
  ['Max msgqueue size', 12, 'bytes'],
  ['Max nice priority', 13, ''],
  ['Max realtime priority', 14, ''],
  ['Max realtime timeout', 15, 'us'],
];

function limits(_task: Task, group: ThreadGroup): string {
  const show = (value: number): string => (value === Number.POSITIVE_INFINITY ? 'unlimited' : String(value));
  const line = (name: string, soft: string, hard: string, unit: string): string =>
    `${name.padEnd(25)} ${soft.padEnd(20)} ${hard.padEnd(20)} ${unit.padEnd(10)}`;
  return joinLines([
    line('Limit', 'Soft Limit', 'Hard Limit', 'Units'),
    ...LIMIT_ROWS.map(([name, resource, unit]) => {
      const limit = group.rlimits[resource];
      return line(
        name,
        show(limit?.soft ?? Number.POSITIVE_INFINITY),
        show(limit?.hard ?? Number.POSITIVE_INFINITY),
        unit,
      );
    }),
  ]);
}

/** Values that are set and read back per process, and change nothing else here. */
const adjustments = new WeakMap<ThreadGroup, Map<string, number>>();

const decimal = (value: number): string => String(value);
const eightHexDigits = (value: number): string => value.toString(16).padStart(8, '0');

function adjustable(
  name: string,
  initial: number,
  lowest: number,
  highest: number,
  lowering: boolean,
  show = decimal,
): TaskFile {
  const fieldValue = (group: ThreadGroup): number => adjustments.get(group)?.get(name) ?? initial;
  return {
    name,
    permissions: 0o644,
    generate: withTask((_task, group) => `${show(fieldValue(group))}\n`),
    accept: (subject, text, caller) => {
      const { group } = subject;
      if (!group) return -ESRCH;
      const value = Number(text.trim());
      if (!/^\s*([+-]?\d+|0[xX][\da-fA-F]+)\s*$/.test(text) || value < lowest || value > highest) return -EINVAL;
      if (lowering && value < fieldValue(group) && !hasCapability(caller.credentials, CAP_SYS_RESOURCE)) return -EACCES;
      const values = adjustments.get(group) ?? new Map<string, number>();
      values.set(name, value);
      adjustments.set(group, values);
      return 0;
    },
  };
}

const constant = (name: string, text: string, permissions = 0o444): TaskFile => ({
  name,
  permissions,
  generate: withTask(() => text),
});

const namespaceMap = '         0          0 4294967295\n';

/** Files of /proc/N and /proc/N/task/M. */
export const TASK_FILES: readonly TaskFile[] = [
  { name: 'stat', permissions: 0o444, generate: withTask(stat) },
  { name: 'status', permissions: 0o444, generate: withTask(status) },
  {
    name: 'statm',
    permissions: 0o444,
    generate: (subject) => (subject.memory ? statm(subject.memory) : subject.group ? '0 0 0 0 0 0 0\n' : -ESRCH),
  },
  {
    name: 'cmdline',
    permissions: 0o444,
    generate: withMemory((memory) => area(memory, memory.layout.argStart, memory.layout.argEnd)),
  },
  {
    name: 'environ',
    permissions: 0o400,
    generate: withMemory((memory) => area(memory, memory.layout.envStart, memory.layout.envEnd)),
  },
  { name: 'auxv', permissions: 0o400, generate: withMemory((memory) => memory.layout.auxv) },
  {
    name: 'comm',
    permissions: 0o644,
    generate: withTask((task) => `${task.comm}\n`),
    accept: (subject, text, caller) => {
      const { task } = subject;
      if (!task) return -ESRCH;
      if ((caller as Partial<Task>).group !== task.group) return -EINVAL;
      task.comm = text.slice(0, 15);
      return 0;
    },
  },
  { name: 'maps', permissions: 0o444, generate: withMemory(maps) },
  { name: 'smaps', permissions: 0o444, generate: withMemory(smaps) },
  { name: 'smaps_rollup', permissions: 0o444, generate: withMemory(smapsRollup) },
  { name: 'mounts', permissions: 0o444, generate: mounts },
  { name: 'mountinfo', permissions: 0o444, generate: mountinfo },
  { name: 'mountstats', permissions: 0o400, generate: mountstats, processOnly: true },
  { name: 'limits', permissions: 0o444, generate: withTask(limits) },
  {
    name: 'io',
    permissions: 0o400,
    generate: withTask(
      () => 'rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n',
    ),
  },
  constant('cgroup', '0::/\n'),
  constant('oom_score', '0\n'),
  adjustable('oom_score_adj', 0, -1000, 1000, true),
  adjustable('oom_adj', 0, -17, 15, true),
  adjustable('coredump_filter', 0x33, 0, 0xffffffff, false, eightHexDigits),
  constant('loginuid', '4294967295'),
  constant('sessionid', '4294967295'),
  constant('wchan', '0'),
  constant('syscall', 'running\n', 0o400),
  constant('stack', '', 0o400),
  constant('schedstat', '0 0 0\n'),
  constant('uid_map', namespaceMap),
  constant('gid_map', namespaceMap),
  constant('projid_map', namespaceMap),
  constant('setgroups', 'allow\n'),
  {
    name: 'personality',
    permissions: 0o400,
    generate: withTask((task) => `${hexadecimal(task.personality >>> 0, 8)}\n`),
  },
  {
    name: 'timerslack_ns',
    permissions: 0o666,
    generate: withTask((task) => `${task.timerSlack}\n`),
    processOnly: true,
  },
  {
    name: 'children',
    permissions: 0o444,
    generate: withTask((_task, group) => [...group.children].map((child) => `${child.pid} `).join('')),
  },
];

/** May the caller look into another process's memory, files and environment? 0, -EACCES, or -ESRCH where it is gone. */
export function mayLookInto({ task }: Subject, caller: Caller): number {
  if (!task) return -ESRCH;
  return mayInspect(caller as Caller & Partial<Task>, task, 'file') ? 0 : -EACCES;
}

/** Files that show what is inside the process: only to those who may inspect it. */
export const INSPECTED = new Set([
  'environ',
  'auxv',
  'maps',
  'smaps',
  'smaps_rollup',
  'io',
  'personality',
  'syscall',
  'stack',
]);

/** For fd links and exe: as seen by the caller. */
export function shownPath(path: Parameters<typeof pathName>[0], subject: Subject, caller: Caller): string {
  const root = (caller as Partial<Task>).fs?.root ?? subject.fs?.root;
  return root ? pathName(path, root) : '';
}
