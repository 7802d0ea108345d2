import type { Kernel } from '../../kernel/kernel.js';
import { PAGE_SIZE } from '../../platform/platform.js';
import type { SysFiles } from './sys.js';

export const cpuList = ({ cpus }: Kernel): string => (cpus === 1 ? '0\n' : `0-${cpus - 1}\n`);

/** A bit mask of all CPUs in groups of 32 bits, the highest first. */
const cpuMask = ({ cpus }: Kernel): string => {
  const groups: string[] = [];
  for (let left = cpus; left > 0; left -= 32) {
    groups.unshift((left >= 32 ? 0xffffffff : 2 ** left - 1).toString(16).padStart(groups.length === 0 ? 1 : 8, '0'));
  }
  return `${groups.join(',')}\n`;
};

const kib = (bytes: number): string => String(Math.floor(bytes / 1024)).padStart(8);

function nodeMemory({ frames }: Kernel): string {
  const shared = frames.sharedFrames * PAGE_SIZE;
  const rows: readonly (readonly [string, number])[] = [
    ['MemTotal', frames.limit],
    ['MemFree', Math.max(0, frames.limit - frames.committed)],
    ['MemUsed', frames.committed],
    ['AnonPages', frames.committed - shared],
    ['Shmem', shared],
  ];
  const lines = rows.map(([name, bytes]) => `Node 0 ${`${name}:`.padEnd(16)}${kib(bytes)} kB\n`);
  return `${lines.join('')}Node 0 HugePages_Total:     0\nNode 0 HugePages_Free:      0\nNode 0 HugePages_Surp:      0\n`;
}

/**
 * Processors and the one memory node. No `cpufreq`, as in most virtual machines: nobody here knows the clock of the host's processors, and
 * programs (Node's os.cpus) then go by /proc/cpuinfo.
 */
export function processorFiles(kernel: Kernel): SysFiles {
  const cpu = 'devices/system/cpu';
  const node = 'devices/system/node';
  const files: SysFiles = {
    [`${cpu}/online`]: cpuList,
    [`${cpu}/possible`]: cpuList,
    [`${cpu}/present`]: cpuList,
    [`${cpu}/offline`]: () => '\n',
    [`${cpu}/isolated`]: () => '\n',
    [`${cpu}/kernel_max`]: () => '8191\n',
    [`${cpu}/smt/active`]: () => '0\n',
    [`${cpu}/smt/control`]: () => 'notsupported\n',
    [`${node}/online`]: () => '0\n',
    [`${node}/possible`]: () => '0\n',
    [`${node}/has_cpu`]: () => '0\n',
    [`${node}/has_memory`]: () => '0\n',
    [`${node}/has_normal_memory`]: () => '0\n',
    [`${node}/node0/cpulist`]: cpuList,
    [`${node}/node0/cpumap`]: cpuMask,
    [`${node}/node0/distance`]: () => '10\n',
    [`${node}/node0/meminfo`]: nodeMemory,
    [`${node}/node0/numastat`]: () =>
      'numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\nother_node 0\n',
  };
  for (let index = 0; index < kernel.cpus; index++) {
    const topology = `${cpu}/cpu${index}/topology`;
    const own = `${index}\n`;
    const mask = `${(2 ** (index % 32)).toString(16)}${',00000000'.repeat(Math.floor(index / 32))}\n`;
    Object.assign(files, {
      [`${topology}/core_id`]: () => own,
      [`${topology}/physical_package_id`]: () => '0\n',
      [`${topology}/die_id`]: () => '0\n',
      [`${topology}/thread_siblings`]: () => mask,
      [`${topology}/thread_siblings_list`]: () => own,
      [`${topology}/core_cpus`]: () => mask,
      [`${topology}/core_cpus_list`]: () => own,
      [`${topology}/core_siblings`]: cpuMask,
      [`${topology}/core_siblings_list`]: cpuList,
      [`${topology}/package_cpus`]: cpuMask,
      [`${topology}/package_cpus_list`]: cpuList,
    } satisfies SysFiles);
    // The first cannot be taken offline, so it has no such file.
    if (index > 0) Object.assign(files, { [`${cpu}/cpu${index}/online`]: () => '1\n' } satisfies SysFiles);
  }
  return files;
}

/** Large pages, which there are none of: what allocators and databases look at before they ask for some. */
export const LARGE_PAGE_FILES: SysFiles = {
  'kernel/mm/transparent_hugepage/enabled': () => 'always madvise [never]\n',
  'kernel/mm/transparent_hugepage/defrag': () => 'always defer defer+madvise [madvise] never\n',
  'kernel/mm/transparent_hugepage/shmem_enabled': () => 'always within_size advise [never] deny force\n',
  'kernel/mm/transparent_hugepage/use_zero_page': () => '1\n',
  'kernel/mm/transparent_hugepage/hpage_pmd_size': () => '2097152\n',
  'kernel/mm/transparent_hugepage/khugepaged/defrag': () => '1\n',
  'kernel/mm/hugepages/hugepages-2048kB/nr_hugepages': () => '0\n',
  'kernel/mm/hugepages/hugepages-2048kB/free_hugepages': () => '0\n',
  'kernel/mm/hugepages/hugepages-2048kB/resv_hugepages': () => '0\n',
  'kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages': () => '0\n',
  'kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages': () => '0\n',
};
