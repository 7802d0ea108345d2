import { getHeapStatistics } from 'node:v8';
import { SYSCALL_NAMES } from '../abi/syscall-numbers.js';
import { type Bytes, type Platform, Reg, Trap } from '../platform/platform.js';
import type { HeapUse } from './boot-message.js';

/** Calls between two looks at the heap. A look allocates, too: the same each time, and little for so many calls. */
const WINDOW = 256;
/** Windows kept of each call: the last ones, when its code is as fast as it gets. */
const WINDOWS_KEPT = 32;

/**
 * How many bytes of the JavaScript heap a call allocates: the heap is looked at once in so many traps, and a window counts for a call when
 * nothing else trapped in it. A collection in between spoils a window; the median does not mind.
 */
export class HeapWatch {
  private readonly samples = new Map<number, Bytes[]>();
  private traps = 0;
  /** The call of the present window; -1: several, or something else. */
  private number = -1;
  private before = 0;
  private readonly look: Bytes;

  constructor(platform: Platform) {
    this.look = this.lookCost();
    const next = platform.next.bind(platform);
    platform.next = (deadline) => {
      const context = next(deadline);
      this.trapped(context?.trap === Trap.Syscall ? context.registersLow[2 * Reg.ORIG_RAX] : -1);
      return context;
    };
  }

  /** What two looks without anything in between differ by; the median of some. */
  private lookCost(): Bytes {
    const costs: Bytes[] = [];
    for (let look = 0; look < 64; look++) costs.push(-(used() - used()));
    return median(costs);
  }

  private trapped(number: number): void {
    if (this.traps === 0) {
      this.number = number;
      this.before = used();
    } else if (number !== this.number) {
      this.number = -1;
    }
    this.traps++;
    if (this.traps <= WINDOW) return;
    this.traps = 0;
    if (this.number < 0) return;
    const allocated = used() - this.before - this.look;
    const samples = this.samples.get(number) ?? [];
    this.samples.set(number, samples);
    if (samples.push(allocated / WINDOW) > WINDOWS_KEPT) samples.shift();
  }

  finish(): readonly HeapUse[] {
    return [...this.samples].map(([number, samples]) => ({
      name: SYSCALL_NAMES[number] ?? 'unknown',
      windows: samples.length,
      bytes: Math.max(0, median(samples)),
    }));
  }
}

const used = (): Bytes => getHeapStatistics().used_heap_size;

function median(list: readonly number[]): number {
  return [...list].sort((one, other) => one - other)[list.length >> 1];
}
