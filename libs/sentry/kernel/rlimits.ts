import {
  RLIM_NLIMITS,
  RLIMIT_CORE,
  RLIMIT_FSIZE,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RTPRIO,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
} from '../abi/resource.js';
import type { RLimit } from './types.js';

/** The limits the first process starts with; the sandbox's own bounds show as hard limits where Linux has one for them. */
export function initialRlimits(limits: { openFiles: number; fileBytes: number; processes: number }): RLimit[] {
  const table: RLimit[] = [];
  for (let resource = 0; resource < RLIM_NLIMITS; resource++) {
    table.push({ soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY });
  }
  const set = (resource: number, soft: number, hard = soft): void => {
    table[resource] = { soft, hard };
  };
  set(RLIMIT_CORE, 0);
  // The largest number that counts bytes exactly says that there is no limit.
  if (limits.fileBytes < Number.MAX_SAFE_INTEGER) set(RLIMIT_FSIZE, limits.fileBytes);
  set(RLIMIT_MEMLOCK, 8 * 1024 * 1024);
  set(RLIMIT_MSGQUEUE, 819_200);
  set(RLIMIT_NICE, 0);
  set(RLIMIT_NOFILE, Math.min(1024, limits.openFiles), limits.openFiles);
  set(RLIMIT_NPROC, limits.processes);
  set(RLIMIT_RTPRIO, 0);
  set(RLIMIT_SIGPENDING, 4096);
  set(RLIMIT_STACK, 8 * 1024 * 1024, Number.POSITIVE_INFINITY);
  return table;
}
