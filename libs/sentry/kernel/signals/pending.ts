import { SIGRTMIN, SYNCHRONOUS_MASK } from '../../abi/signal.js';
import type { SignalInfo } from '../types.js';

/** A fresh siginfo with everything but signal and code zero. */
export function signalInfo(signal: number, code: number, pid = 0, uid = 0): SignalInfo {
  return {
    signal,
    code,
    pid,
    uid,
    error: 0,
    status: 0,
    address: 0,
    value: 0,
    timerId: 0,
    overrun: 0,
    utime: 0,
    stime: 0,
  };
}

/** Number of the lowest signal in a mask given as halves; 0 when empty. */
export function lowestSignal(low: number, high: number): number {
  if (low !== 0) return 32 - Math.clz32(low & -low);
  if (high !== 0) return 64 - Math.clz32(high & -high);
  return 0;
}

/** The next to deliver of a set: those the program itself caused first, then by number (as Linux's next_signal). */
export function nextSignal(low: number, high: number): number {
  const synchronous = low & SYNCHRONOUS_MASK;
  return lowestSignal(synchronous !== 0 ? synchronous : low, high);
}

/** Signals that wait for delivery to a thread or a process: standard ones once, real-time ones queued. */
export class PendingSignals {
  low = 0;
  high = 0;
  private readonly queue: SignalInfo[] = [];

  has(signal: number): boolean {
    return signal <= 32 ? (this.low & (1 << (signal - 1))) !== 0 : (this.high & (1 << (signal - 33))) !== 0;
  }

  /** True if queued; a standard signal that waits already is dropped. */
  add(info: SignalInfo): boolean {
    if (info.signal < SIGRTMIN && this.has(info.signal)) return false;
    this.mark(info.signal);
    this.queue.push(info);
    return true;
  }

  /** Pending, but without its siginfo (the queue limit was reached). */
  mark(signal: number): void {
    if (signal <= 32) this.low |= 1 << (signal - 1);
    else this.high |= 1 << (signal - 33);
  }

  /** Takes the first queued siginfo of a pending signal. */
  take(signal: number): SignalInfo {
    let found = -1;
    let more = false;
    for (let index = 0; index < this.queue.length; index++) {
      if (this.queue[index].signal !== signal) continue;
      if (found < 0) found = index;
      else {
        more = true;
        break;
      }
    }
    if (!more) {
      if (signal <= 32) this.low &= ~(1 << (signal - 1));
      else this.high &= ~(1 << (signal - 33));
    }
    return found >= 0 ? this.queue.splice(found, 1)[0] : signalInfo(signal, 0);
  }

  /** Drops every signal of a mask. */
  flush(low: number, high: number): void {
    if (!(this.low & low) && !(this.high & high)) return;
    this.low &= ~low;
    this.high &= ~high;
    for (let index = this.queue.length - 1; index >= 0; index--) {
      if (!this.has(this.queue[index].signal)) this.queue.splice(index, 1);
    }
  }

  /** Whether this very entry still waits. */
  includes(info: SignalInfo): boolean {
    return this.queue.includes(info);
  }

  /** At most `count` queued entries from the one at `first` on. */
  slice(first: number, count: number): SignalInfo[] {
    return this.queue.slice(first, first + count);
  }

  /** Queued entries, for RLIMIT_SIGPENDING and /proc. */
  get length(): number {
    return this.queue.length;
  }

  /** Drops the queued signals of one POSIX timer (timer_delete, re-arming). */
  removeTimer(code: number, timerId: number): void {
    for (let index = this.queue.length - 1; index >= 0; index--) {
      const info = this.queue[index];
      if (info.code !== code || info.timerId !== timerId) continue;
      this.queue.splice(index, 1);
      if (this.queue.some((other) => other.signal === info.signal)) continue;
      if (info.signal <= 32) this.low &= ~(1 << (info.signal - 1));
      else this.high &= ~(1 << (info.signal - 33));
    }
  }
}
