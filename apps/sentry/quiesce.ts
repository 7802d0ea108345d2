import { fstatSync, readdirSync, readFileSync } from 'node:fs';

/** Numbers of this process' open descriptors. */
export function openDescriptors(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        fstatSync(fd);
        return true;
      } catch {
        return false; // the directory we have just read
      }
    });
}

// x86-64: futex, poll, epoll_wait, epoll_pwait, epoll_pwait2
const WAITING = new Set(['202', '7', '232', '281', '441']);
const QUIET_TIMEOUT_MS = 10_000;

/**
 * Waits until every other thread of this process sleeps in a wait, so that none holds a lock when we fork.
 * Throws when they don't come to rest.
 */
export function waitUntilQuiet(): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const deadline = Date.now() + QUIET_TIMEOUT_MS;
  // The one thread that is not waiting is this one (its number in /proc need not be process.pid: other pid namespace).
  for (let calm = 0; calm < 3; ) {
    const busy = readdirSync('/proc/self/task').filter((tid) => {
      const [number] = readFileSync(`/proc/self/task/${tid}/syscall`, 'latin1').split(' ');
      return !WAITING.has(number.trim());
    });
    calm = busy.length <= 1 ? calm + 1 : 0;
    if (calm > 0) continue;
    if (Date.now() > deadline) throw new Error(`threads do not come to rest: ${busy.join(' ')}`);
    Atomics.wait(pause, 0, 0, 1);
  }
}
