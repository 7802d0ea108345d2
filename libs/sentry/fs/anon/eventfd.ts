import { EFD_NONBLOCK, EFD_SEMAPHORE } from '../../abi/epoll.js';
import { EAGAIN, EFAULT, EINVAL } from '../../abi/errno.js';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.js';
import type { IoBuffer } from '../../mm/types.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import type { Caller } from '../../vfs/types.js';
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';

const U32 = 0x100000000;
/** Reads and writes are one u64; one thread, so one scratch serves all. */
const scratch = new Uint8Array(8);
const view = new DataView(scratch.buffer);

/** eventfd(2): a 64-bit counter, kept in halves so that its edge (2^64 - 2) is exact. */
export class EventFile extends AnonymousFile {
  readonly displayName = 'anon_inode:[eventfd]';
  low: number;
  high = 0;
  readonly semaphore: boolean;

  constructor(initial: number, flags: number) {
    super(O_RDWR | (flags & EFD_NONBLOCK ? O_NONBLOCK : 0), anonymousPath());
    this.low = initial >>> 0;
    this.semaphore = (flags & EFD_SEMAPHORE) !== 0;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    if (io.remaining < 8) return -EINVAL;
    if (this.low === 0 && this.high === 0) return -EAGAIN;
    view.setUint32(0, this.semaphore ? 1 : this.low, true);
    view.setUint32(4, this.semaphore ? 0 : this.high, true);
    if (!this.semaphore) {
      this.low = 0;
      this.high = 0;
    } else if (this.low-- === 0) {
      this.low = U32 - 1;
      this.high--;
    }
    const copied = io.put(scratch, 0, 8);
    this.waitQueue.wake(POLLOUT | POLLWRNORM);
    return copied === 8 ? 8 : -EFAULT;
  }

  override write(io: IoBuffer, _caller: Caller): number {
    if (io.remaining < 8) return -EINVAL;
    if (io.take(scratch, 0, 8) !== 8) return -EFAULT;
    const low = view.getUint32(0, true);
    const high = view.getUint32(4, true);
    if (low === U32 - 1 && high === U32 - 1) return -EINVAL;
    const result = this.add(low, high);
    return result === 0 ? 8 : result;
  }

  /** Adds to the counter; -EAGAIN when it would pass 2^64 - 2. For the kernel's own signalling too. */
  add(low: number, high: number): number {
    const newLow = this.low + low;
    const carry = newLow >= U32 ? 1 : 0;
    const newHigh = this.high + high + carry;
    const wrapped = newLow - carry * U32;
    if (newHigh >= U32 || (newHigh === U32 - 1 && wrapped === U32 - 1)) return -EAGAIN;
    this.low = wrapped;
    this.high = newHigh;
    this.waitQueue.wake(POLLIN | POLLRDNORM);
    return 0;
  }

  poll(): number {
    let events = 0;
    if (this.low !== 0 || this.high !== 0) events |= POLLIN | POLLRDNORM;
    if (this.high === U32 - 1 && this.low === U32 - 1) events |= POLLERR;
    if (!(this.high === U32 - 1 && this.low >= U32 - 2)) events |= POLLOUT | POLLWRNORM;
    return events;
  }

  protected override close(): void {}
}
