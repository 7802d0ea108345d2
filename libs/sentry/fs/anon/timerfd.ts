import { TFD_IOC_SET_TICKS, TFD_NONBLOCK } from '../../abi/epoll.js';
import { EAGAIN, EFAULT, EINVAL, ENOTTY } from '../../abi/errno.js';
import { O_NONBLOCK, O_RDWR } from '../../abi/fcntl.js';
import type { Kernel, Timer } from '../../kernel/types.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import type { Caller } from '../../vfs/types.js';
import { POLLIN, POLLRDNORM } from '../../vfs/wait-queue.js';

const scratch = new Uint8Array(8);
const view = new DataView(scratch.buffer);

/**
 * timerfd_create(2). All clocks run on the monotonic one here: CLOCK_REALTIME never jumps inside a sandbox, so absolute
 * times are converted once. As in Linux a periodic timer fires once and is caught up by the next read, so that a timer
 * nobody reads costs nothing.
 */
export class TimerFile extends AnonymousFile {
  readonly displayName = 'anon_inode:[timerfd]';
  private readonly timer: Timer;
  /** Next expiry (monotonic), Infinity = disarmed. Stays in the past while a periodic expiry is unread. */
  private deadline: Nanoseconds = Infinity;
  private interval: Nanoseconds = 0;
  /** Expiries not read yet, not counting those of a periodic timer since `deadline`. */
  private ticks = 0;
  private fired = false;

  constructor(
    private readonly kernel: Kernel,
    readonly clockId: number,
    flags: number,
  ) {
    super(O_RDWR | (flags & TFD_NONBLOCK ? O_NONBLOCK : 0), anonymousPath());
    this.timer = kernel.createTimer((now) => this.fire(now));
  }

  /** Arms for `deadline` (monotonic ns, Infinity disarms), then every `interval` ns (0 = once). */
  set(deadline: Nanoseconds, interval: Nanoseconds): void {
    this.ticks = 0;
    this.fired = false;
    this.deadline = deadline;
    this.interval = interval;
    this.timer.set(deadline);
  }

  /** Nanoseconds until the next expiry; 0 when disarmed. */
  remaining(): Nanoseconds {
    this.catchUp();
    if (this.deadline === Infinity) return 0;
    return Math.max(1, this.deadline - this.kernel.clock.monotonic());
  }

  get period(): Nanoseconds {
    return this.interval;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    if (io.remaining < 8) return -EINVAL;
    this.catchUp();
    if (this.ticks === 0) return -EAGAIN;
    view.setUint32(0, this.ticks % 0x100000000, true);
    view.setUint32(4, Math.floor(this.ticks / 0x100000000), true);
    this.ticks = 0;
    return io.put(scratch, 0, 8) === 8 ? 8 : -EFAULT;
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    if (request !== TFD_IOC_SET_TICKS) return -ENOTTY;
    const ticks = caller.memory.readU64(argument);
    if (Number.isNaN(ticks)) return -EFAULT;
    if (ticks === 0) return -EINVAL;
    this.ticks = ticks < 0 ? ticks + 2 ** 64 : ticks;
    this.waitQueue.wake(POLLIN | POLLRDNORM);
    return 0;
  }

  poll(): number {
    return this.ticks > 0 || this.fired ? POLLIN | POLLRDNORM : 0;
  }

  /** For /proc/pid/fdinfo. */
  get unreadTicks(): number {
    return this.ticks;
  }

  protected override close(): void {
    this.timer.cancel();
  }

  private fire(now: Nanoseconds): void {
    if (now < this.deadline) {
      this.timer.set(this.deadline);
      return;
    }
    if (this.interval > 0) this.fired = true;
    else {
      this.ticks = 1;
      this.deadline = Infinity;
    }
    this.waitQueue.wake(POLLIN | POLLRDNORM);
  }

  /** Counts what a timer has expired since it was last looked at, and sets it for the next time. */
  private catchUp(): void {
    const now = this.kernel.clock.monotonic();
    if (now < this.deadline) return;
    if (this.interval === 0) {
      this.ticks = 1;
      this.deadline = Infinity;
      this.timer.set(Infinity);
      return;
    }
    const passed = Math.floor((now - this.deadline) / this.interval) + 1;
    this.ticks += passed;
    this.deadline += passed * this.interval;
    this.fired = false;
    this.timer.set(this.deadline);
  }
}
