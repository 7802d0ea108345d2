import { fstatSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { zygoteNative as native } from '@cordon/sentry/platform/zygote.unsafe';

/** Numbers of this process' open descriptors, ascending. */
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
    })
    .sort((one, other) => one - other);
}

// x86-64: futex, poll, epoll_wait, epoll_pwait, epoll_pwait2
const WAITING = new Set(['202', '7', '232', '281', '441']);
const QUIET_TIMEOUT_MS = 10_000;
const SPACE = 0x20;

/**
 * The other threads of this process (V8's worker and its timer of delayed tasks). A lock that one of them holds at the
 * moment of a fork would stay locked in the child for ever, so forks wait until all of them sleep.
 */
export class HelperThreads {
  /** /proc/self/task/N/syscall of each; kept open, since the root will be gone. */
  private readonly files: number[];
  private readonly room = Buffer.alloc(16);
  private readonly pause = new Int32Array(new SharedArrayBuffer(4));

  constructor() {
    const main = readlinkSync('/proc/self');
    this.files = readdirSync('/proc/self/task')
      .filter((tid) => tid !== main)
      .map((tid) => openSync(`/proc/self/task/${tid}/syscall`, 'r'));
  }

  /** True when every helper thread sleeps in a wait. */
  private get quiet(): boolean {
    for (const file of this.files) {
      const length = native.readAt(file, this.room, 0);
      const end = this.room.subarray(0, Math.max(length, 0)).indexOf(SPACE);
      if (!WAITING.has(this.room.toString('latin1', 0, Math.max(end, 0)))) return false;
    }
    return true;
  }

  /** Returns as soon as all helper threads sleep; that is at once, nearly always. Throws when they never do. */
  waitUntilQuiet(): void {
    if (this.quiet) return;
    const deadline = Date.now() + QUIET_TIMEOUT_MS;
    do {
      if (Date.now() > deadline) throw new Error('the helper threads do not come to rest');
      Atomics.wait(this.pause, 0, 0, 0.05);
    } while (!this.quiet);
  }
}
