import { EAGAIN, EFAULT, EINVAL } from '../../abi/errno.js';
import { MSG_PEEK } from '../../abi/socket.js';
import type { IoBuffer } from '../../mm/types.js';

const one = new Uint8Array(1);

/**
 * TCP's urgent byte (tcp(7)): one byte of the stream that recv(MSG_OOB) reads ahead of what is before it. Ordinary reads
 * stop in front of it and then step over it, unless SO_OOBINLINE leaves it in the stream. A newer one takes its place.
 */
export class UrgentData {
  /** Stream position of the urgent byte. */
  private position = 0;
  private value = 0;
  private state: 'none' | 'unread' | 'read' = 'none';

  /** The byte at `position` has arrived as urgent. */
  arrive(position: number, value: number): void {
    this.position = position;
    this.value = value;
    this.state = 'unread';
  }

  /** POLLPRI. */
  get unread(): boolean {
    return this.state === 'unread';
  }

  /** How many bytes an ordinary read that starts at `position` may take before it must stop; 0 = it stands at the mark. */
  distance(position: number): number {
    if (this.state === 'none' || position > this.position) return Number.POSITIVE_INFINITY;
    return this.position - position;
  }

  /** Ordinary reading has come to `position`: behind the mark it is forgotten, read or not. */
  passed(position: number): void {
    if (position > this.position) this.state = 'none';
  }

  /** recv(MSG_OOB): 1, or -EINVAL when there is none, it was read, or it is inline. */
  receive(io: IoBuffer, flags: number, inline: boolean, ended: boolean): number {
    if (inline || this.state !== 'unread') return this.state === 'none' && ended && !inline ? 0 : -EINVAL;
    if (io.remaining === 0) return -EAGAIN;
    one[0] = this.value;
    if (io.put(one, 0, 1) !== 1) return -EFAULT;
    if (!(flags & MSG_PEEK)) this.state = 'read';
    return 1;
  }
}
