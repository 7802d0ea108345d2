import { readFileSync, readlinkSync } from 'node:fs';

/** CLOCK_MONOTONIC, ns. */
export const monotonic = (): number => Number(process.hrtime.bigint());

function read(read: () => string): string {
  try {
    return read().trim();
  } catch {
    return 'unknown';
  }
}

/**
 * Names the clock that `monotonic` reads: this boot of this host's kernel, seen from this time namespace (time_namespaces(7)). Where that
 * cannot be known, no two processes share a clock.
 */
export const CLOCK_ID = ((): string => {
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1'));
  const namespace = read(() => readlinkSync('/proc/self/ns/time'));
  return boot === 'unknown' ? `process ${process.pid} ${performance.timeOrigin}` : `${boot} ${namespace}`;
})();
