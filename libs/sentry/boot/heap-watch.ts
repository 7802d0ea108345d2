import { getHeapStatistics } from 'node:v8';
import { SYSCALL_NAMES } from '../abi/syscall-numbers.js';
import { type Bytes, type Platform, Reg, Trap } from '../platform/platform.js';
import type { HeapUse } from './boot-message.js';

/** Calls between two looks at the heap. A look allocates, too: the same each time, and little for so many calls. */
const WINDOW = 256;
/** Windows kept of each call: the last ones, when its code is as fast as it gets. */
const WINDOWS_KEPT = 32;

/** Different calls that a window may hold and still count. */
const CALLS_TOGETHER = 4;

/**
 * How many bytes of the JavaScript heap a call allocates: the heap is looked at once in so many traps, and a window counts for the calls that
 * were made in it when they were few and nothing else trapped. A collection in between spoils a window; the median does not mind.
 */
export class HeapWatch {
  /** By the calls of a window, as `numbersKey` has them. */
  private readonly samples = new Map<string, Bytes[]>();
  private traps = 0;
  /** The calls of the present window, and how many they are; -1: too many, or something else. */
  private readonly numbers = new Int32Array(CALLS_TOGETHER);
  private count = 0;
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
      this.count = 0;
      this.before = used();
    }
    this.note(number);
    this.traps++;
    if (this.traps <= WINDOW) return;
    this.traps = 0;
    if (this.count < 0) return;
    const allocated = used() - this.before - this.look;
    const key = this.numbersKey();
    const samples = this.samples.get(key) ?? [];
    this.samples.set(key, samples);
    if (samples.push(allocated / WINDOW) > WINDOWS_KEPT) samples.shift();
  }

  private note(number: number): void {
    const { numbers, count } = this;
    if (count < 0) return;
    for (let index = 0; index < count; index++) if (numbers[index] === number) return;
    if (number < 0 || count === CALLS_TOGETHER) this.count = -1;
    else {
      numbers[count] = number;
      this.count++;
    }
  }

  /** Names in the order of their numbers: `read+write`. */
  private numbersKey(): string {
    const sorted = [...this.numbers.subarray(0, this.count)].sort((one, other) => one - other);
    return sorted.map((number) => SYSCALL_NAMES[number] ?? 'unknown').join('+');
  }

  finish(): readonly HeapUse[] {
    return [...this.samples].map(([name, samples]) => ({
      name,
      windows: samples.length,
      bytes: Math.max(0, median(samples)),
    }));
  }
}

const used = (): Bytes => getHeapStatistics().used_heap_size;

function median(list: readonly number[]): number {
  return [...list].sort((one, other) => one - other)[list.length >> 1];
}
