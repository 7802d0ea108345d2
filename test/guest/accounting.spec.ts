import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

useGuests();

const MIB = 1024 ** 2;
const MEMORY = 256 * MIB;
const PROCESSES = 12;
const CPUS = 3;

/** What the program printed at one moment: files by path, and the calls. */
type Moment = Readonly<Record<string, string>>;

function moments(output: string): Record<string, Moment> {
  const found: Record<string, Moment> = {};
  for (const part of output.split(/^== /m).slice(1)) {
    const [name] = part.split('\n', 1);
    const sections = part.split(/^-- /m).slice(1);
    found[name] = Object.fromEntries(
      sections.map((section) => {
        const [title] = section.split('\n', 1);
        return [title, section.slice(title.length + 1)];
      }),
    );
  }
  return found;
}

/** The number after `name` at the start of a line. */
function field(text: string, name: string): number {
  const match = new RegExp(`^${name}:? +(\\d+)`, 'm').exec(text);
  if (!match) throw new Error(`no ${name} in ${text}`);
  return Number(match[1]);
}

const lines = (text: string, start: RegExp): number => text.split('\n').filter((line) => start.test(line)).length;

/** Everything that says how much memory there is and is used. */
function memory(moment: Moment) {
  const meminfo = moment['/proc/meminfo'];
  const node = moment['/sys/devices/system/node/node0/meminfo'];
  const stat = moment['/sys/fs/cgroup/memory.stat'];
  const { calls } = moment;
  const kib = (name: string): number => field(meminfo, name) * 1024;
  return {
    total: [
      kib('MemTotal'),
      field(node, 'Node 0 MemTotal') * 1024,
      field(calls, 'totalram'),
      field(calls, 'phys_pages') * 4096,
      field(calls, 'blocks') * field(calls, 'bsize'),
      Number(moment['/sys/fs/cgroup/memory.max']),
    ],
    used: [
      kib('MemTotal') - kib('MemFree'),
      kib('MemTotal') - kib('MemAvailable'),
      kib('AnonPages') + kib('Shmem'),
      field(node, 'Node 0 MemUsed') * 1024,
      field(calls, 'totalram') - field(calls, 'freeram'),
      (field(calls, 'phys_pages') - field(calls, 'avphys_pages')) * 4096,
      (field(calls, 'blocks') - field(calls, 'bfree')) * field(calls, 'bsize'),
      Number(moment['/sys/fs/cgroup/memory.current']),
      field(stat, 'anon') + field(stat, 'shmem'),
    ],
    shared: [
      kib('Shmem'),
      kib('Cached'),
      field(calls, 'sharedram'),
      field(stat, 'shmem'),
      field(stat, 'file'),
      field(node, 'Node 0 Shmem') * 1024,
    ],
  };
}

async function run(): Promise<Record<string, Moment>> {
  const guest = await runGuest({
    argv: ['./program'],
    files: { program: compile('accounting.c', ['-O1', '-w', '-static']) },
    limits: { memoryBytes: MEMORY, processes: PROCESSES },
    cpus: CPUS,
  });
  expect(guest.stdout).toContain(`forked ${PROCESSES - 1}, then EAGAIN\n`);
  return moments(guest.stdout);
}

describe('what a sandbox tells of its resources', () => {
  it('agrees, whichever file or call is asked, and with the limits', async () => {
    const seen = await run();
    // The children of the last moment may not have come to rest.
    const { tasks: _, ...still } = seen;
    for (const moment of Object.values(still)) {
      const { total, used, shared } = memory(moment);
      expect(new Set(total)).toEqual(new Set([MEMORY]));
      expect(new Set(used).size, JSON.stringify(used)).toBe(1);
      expect(new Set(shared).size, JSON.stringify(shared)).toBe(1);
      expect(moment['/sys/fs/cgroup/cpu.max']).toBe(`${CPUS * 100_000} 100000\n`);
      expect(moment['/sys/devices/system/cpu/online']).toBe(`0-${CPUS - 1}\n`);
      expect(lines(moment['/proc/cpuinfo'], /^processor\t/)).toBe(CPUS);
      expect(lines(moment['/proc/stat'], /^cpu\d/)).toBe(CPUS);
      for (const name of ['nproc_onln', 'nproc_conf', 'affinity']) expect(field(moment.calls, name), name).toBe(CPUS);
      expect(moment['/sys/fs/cgroup/pids.max']).toBe(`${PROCESSES}\n`);
      expect(Number(moment['/sys/fs/cgroup/pids.current'])).toBe(field(moment.calls, 'procs'));
    }
  });

  it('follows use: memory, files, shared memory, tasks', async () => {
    const { start, anonymous, shared, freed, tasks } = await run();
    const used = (moment: Moment): number => memory(moment).used[0];
    const sharedBytes = (moment: Moment): number => memory(moment).shared[0];
    // Pages come in chunks: some more than was touched.
    const grown = used(anonymous) - used(start);
    expect(grown).toBeGreaterThanOrEqual(8 * MIB);
    expect(grown).toBeLessThan(9 * MIB);
    expect(sharedBytes(anonymous)).toBe(sharedBytes(start));
    expect(sharedBytes(shared) - sharedBytes(start)).toBe(6 * MIB);
    expect(used(shared) - used(anonymous)).toBe(6 * MIB);
    expect(sharedBytes(freed)).toBe(sharedBytes(start));
    expect(used(freed)).toBeLessThan(used(start) + MIB);
    expect(Number(freed['/sys/fs/cgroup/memory.peak'])).toBeGreaterThanOrEqual(used(shared));
    expect(tasks['/sys/fs/cgroup/pids.current']).toBe(`${PROCESSES}\n`);
    expect(tasks['/sys/fs/cgroup/pids.peak']).toBe(`${PROCESSES}\n`);
    expect(tasks['/sys/fs/cgroup/pids.events']).toBe('max 1\n');
    expect(tasks['/sys/fs/cgroup/cgroup.procs'].trim().split('\n')).toHaveLength(PROCESSES);
    expect(start['/sys/fs/cgroup/pids.events']).toBe('max 0\n');
  });

  it('counts CPU time in cpu.stat as in /proc/stat', async () => {
    const { tasks } = await run();
    const stat = tasks['/sys/fs/cgroup/cpu.stat'];
    expect(field(stat, 'usage_usec')).toBeGreaterThan(0);
    expect(Math.abs(field(stat, 'usage_usec') - field(stat, 'user_usec') - field(stat, 'system_usec'))).toBeLessThan(2);
    const [, user, , system] = (/^cpu .*$/m.exec(tasks['/proc/stat']) as RegExpExecArray)[0]
      .trim()
      .split(/ +/)
      .map(Number);
    // /proc/stat was read a moment before, in ticks of 10 ms.
    expect(user * 10_000).toBeLessThanOrEqual(field(stat, 'user_usec'));
    expect(system * 10_000).toBeLessThanOrEqual(field(stat, 'system_usec'));
  });
});

const DEVICES = `
cd /sys/class/net/lo
for name in address operstate mtu ifindex flags type tx_queue_len carrier statistics/rx_bytes uevent; do echo "$name $(cat $name 2>&1)"; done
cat speed
readlink -f .
`;

describe('/sys', () => {
  it('has the loopback device as the network has it', async () => {
    const up = await runGuest({ argv: ['/bin/sh', '-c', DEVICES] });
    expect(up.stdout.split('\n')).toEqual([
      'address 00:00:00:00:00:00',
      'operstate unknown',
      'mtu 65536',
      'ifindex 1',
      'flags 0x9',
      'type 772',
      'tx_queue_len 1000',
      'carrier 1',
      'statistics/rx_bytes 0',
      'uevent INTERFACE=lo',
      'IFINDEX=1',
      '/sys/devices/virtual/net/lo',
      '',
    ]);
    expect(up.stderr).toBe('cat: speed: Invalid argument\n');
    const down = await runGuest({ argv: ['/bin/sh', '-c', DEVICES], network: 'none' });
    expect(down.stdout).toContain('operstate down\n');
    expect(down.stdout).toContain('flags 0x8\n');
    expect(down.stdout).toContain('carrier cat: carrier: Invalid argument\n');
  });

  it('has a cgroup that runtimes find, and that nobody inside can change', async () => {
    const script = `grep -c " /sys/fs/cgroup .* - cgroup2 " /proc/self/mountinfo; cat /proc/self/cgroup /sys/fs/cgroup/cgroup.controllers
      echo 1 > /sys/fs/cgroup/pids.max; mkdir /sys/fs/cgroup/child; cat /sys/kernel/mm/transparent_hugepage/enabled
      cat /sys/kernel/mm/hugepages/*/nr_hugepages; ls -d /sys/devices/system/cpu/cpu0/cpufreq`;
    const guest = await runGuest({ argv: ['/bin/bash', '-c', script], uid: 0 });
    expect(guest.stdout).toBe('1\n0::/\ncpu memory pids\nalways madvise [never]\n0\n');
    expect(guest.stderr.match(/Read-only file system/g)).toHaveLength(2);
    expect(guest.stderr).toMatch(/cpufreq': No such file/);
  });
});
