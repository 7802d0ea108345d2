import { SFD_NONBLOCK, SIGNALFD_SIGINFO_SIZE } from '../../abi/epoll.js';
import { EAGAIN, EFAULT, EINVAL } from '../../abi/errno.js';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.js';
import { SI_TIMER } from '../../abi/signal.js';
import { dequeueSignal, peekSignals } from '../../kernel/signals/delivery.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { SignalInfo } from '../../kernel/types.js';
import type { IoBuffer } from '../../mm/types.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import type { Caller } from '../../vfs/types.js';
import { POLLIN, POLLRDNORM, type WaitQueue } from '../../vfs/wait-queue.js';

const record = new Uint8Array(SIGNALFD_SIGINFO_SIZE);
const view = new DataView(record.buffer);

/**
 * signalfd(2): takes signals off the queues of whoever reads, and is ready when whoever asks has some, which after fork(2) is not
 * the process that made it. An epoll hears of the signals of the process that added it, as in Linux.
 */
export class SignalFile extends AnonymousFile {
  readonly displayName = 'anon_inode:[signalfd]';

  constructor(
    private readonly maker: ThreadGroup,
    public low: number,
    public high: number,
    flags: number,
  ) {
    super(O_RDWR | (flags & SFD_NONBLOCK ? O_NONBLOCK : 0), anonymousPath());
  }

  /** The queue of whoever is about to wait. */
  override get waitQueue(): WaitQueue {
    return (this.maker.leader.kernel.current?.group ?? this.maker).signalQueue;
  }

  /** Changes the set; what is pending already may be readable now. */
  setMask(low: number, high: number): void {
    this.low = low;
    this.high = high;
    this.waitQueue.wake(POLLIN | POLLRDNORM);
  }

  override read(io: IoBuffer, caller: Caller): number {
    if (io.remaining < SIGNALFD_SIGINFO_SIZE) return -EINVAL;
    let total = 0;
    while (io.remaining >= SIGNALFD_SIGINFO_SIZE) {
      // The file layer's callers are tasks.
      const info = dequeueSignal(caller as Task, this.low, this.high);
      if (!info) break;
      writeRecord(info);
      if (io.put(record, 0, SIGNALFD_SIGINFO_SIZE) !== SIGNALFD_SIGINFO_SIZE) return total > 0 ? total : -EFAULT;
      total += SIGNALFD_SIGINFO_SIZE;
    }
    return total > 0 ? total : -EAGAIN;
  }

  poll(): number {
    const reader = this.maker.leader.kernel.current ?? this.maker.leader;
    return peekSignals(reader, this.low, this.high) ? POLLIN | POLLRDNORM : 0;
  }
}

/** struct signalfd_siginfo. */
function writeRecord(info: SignalInfo): void {
  record.fill(0);
  view.setUint32(0, info.signal, true);
  view.setInt32(8, info.code, true);
  view.setUint32(12, info.pid, true);
  view.setUint32(16, info.uid, true);
  if (info.code === SI_TIMER) {
    view.setUint32(24, info.timerId, true);
    view.setUint32(32, info.overrun, true);
  }
  view.setInt32(40, info.status, true);
  view.setInt32(44, info.value | 0, true);
  putU64(48, info.value);
  putU64(56, info.utime);
  putU64(64, info.stime);
  putU64(72, info.address);
}

function putU64(at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / 0x100000000), true);
}
