import { makedev, SYSFS_MAGIC } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel } from '../../kernel/kernel.js';
import { LOOPBACK_NAME } from '../../net/interfaces.js';
import { LazyDirectory, SyntheticFile, SyntheticFileSystem, SyntheticLink } from '../synthetic/file-system.js';
import { TreeBuilder } from '../synthetic/tree.js';
import { NETWORK_DEVICE, networkFiles } from './network.js';
import { LARGE_PAGE_FILES, processorFiles } from './processors.js';

/** Files by path: their content, or -errno of a read. */
export type SysFiles = Record<string, (kernel: Kernel) => string | number>;

const OTHER_FILES: SysFiles = {
  'devices/system/clocksource/clocksource0/current_clocksource': () => 'tsc\n',
  'devices/system/clocksource/clocksource0/available_clocksource': () => 'tsc \n',
};

/** Directories that are there though empty. */
const DIRECTORIES = ['bus', 'block', 'dev/block', 'dev/char', 'module', 'class/net'];

/** What files of sysfs show as their size. */
const SHOWN_SIZE = 4096;

function fillTree(tree: TreeBuilder, fileSystem: SyntheticFileSystem, kernel: Kernel): void {
  for (const path of DIRECTORIES) tree.directory(path);
  const files = { ...OTHER_FILES, ...LARGE_PAGE_FILES, ...processorFiles(kernel), ...networkFiles() };
  for (const [path, generate] of Object.entries(files)) {
    tree.add(path, new SyntheticFile(fileSystem, () => generate(kernel), 0o444, null, SHOWN_SIZE));
  }
  tree.add(`class/net/${LOOPBACK_NAME}`, new SyntheticLink(fileSystem, () => `../../${NETWORK_DEVICE}`));
  tree.add(`${NETWORK_DEVICE}/subsystem`, new SyntheticLink(fileSystem, () => '../../../../class/net'));
}

/**
 * /sys of a sandbox: what runtimes size themselves by. One truth with sched_getaffinity(2), /proc/cpuinfo, /proc/meminfo and the
 * cgroup: the sandbox's CPUs and memory limit.
 */
export function createSysFileSystem(kernel: Kernel): SyntheticFileSystem {
  const now = { seconds: 0, nanoseconds: 0 };
  kernel.clock.read(CLOCK_REALTIME, now);
  const fileSystem = new SyntheticFileSystem('sysfs', makedev(0, 0x15), SYSFS_MAGIC, now, true);
  const root = new LazyDirectory(fileSystem, 0o755, () => fillTree(tree, fileSystem, kernel));
  fileSystem.root = root;
  const tree = new TreeBuilder(fileSystem, root);
  // Mounted on at boot.
  tree.directory('fs/cgroup');
  return fileSystem;
}
