import { SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ALLOW } from '../../abi/seccomp.js';
import { AUDIT_ARCH_X86_64 } from '../../abi/signal.js';
import type { Bytes } from '../../platform/platform.js';
import { INSTRUCTION_WORDS } from './check.js';
import { allowsAlways, runProgram } from './interpreter.js';

/** Instructions of all programs that a call may have to pass, and what each program counts besides its own (Linux's MAX_INSNS_PER_PATH). */
const LONGEST_PATH = 32768;
const PROGRAM_OVERHEAD = 4;
/** What a program takes besides its instructions, at most. */
const FILTER_BYTES = 1024;
/** What the programs of all processes may take: they are the kernel's own memory. */
const ALL_FILTERS_BYTES = 64 * 1024 ** 2;
/** Calls whose verdict may be known beforehand. */
const NUMBERS = 512;

/** A program and those installed before it. Never changed: threads and processes share it. */
export class SeccompFilter {
  /** Programs from this one to the first. */
  readonly count: number;
  /** Memory that they take together. */
  private readonly bytes: Bytes;
  /** Instructions that they have together, as counted for the limit. */
  private readonly pathLength: number;
  /** Per number: every program allows it without a look at arguments. */
  private readonly allowed: Uint8Array;

  constructor(
    private readonly program: Uint32Array,
    readonly previous: SeccompFilter | null,
  ) {
    this.count = (previous?.count ?? 0) + 1;
    this.pathLength = (previous?.pathLength ?? -PROGRAM_OVERHEAD) + PROGRAM_OVERHEAD + instructions(program);
    this.bytes = (previous?.bytes ?? 0) + memoryOf(program);
    this.allowed = new Uint8Array(NUMBERS);
    for (let number = 0; number < NUMBERS; number++) {
      if (previous && previous.allowed[number] === 0) continue;
      if (allowsAlways(program, number, AUDIT_ARCH_X86_64)) this.allowed[number] = 1;
    }
  }

  /** Whether another program would make the way of a call too long (ENOMEM). */
  static isTooLong(program: Uint32Array, previous: SeccompFilter | null): boolean {
    return instructions(program) + (previous ? previous.pathLength + PROGRAM_OVERHEAD : 0) > LONGEST_PATH;
  }

  /**
   * Whether there is no memory for another program (ENOMEM). Counted anew each time, by the tasks that there are: nobody hears of it
   * when the last that has a filter goes. Filters that several have with different ones after them count several times; those of
   * zombies count, too.
   */
  static isTooMuch(program: Uint32Array, tasks: Iterable<{ readonly seccomp: unknown }>): boolean {
    const seen = new Set<SeccompFilter>();
    let total = memoryOf(program);
    for (const { seccomp } of tasks) {
      if (!(seccomp instanceof SeccompFilter) || seen.has(seccomp)) continue;
      seen.add(seccomp);
      total += seccomp.bytes;
    }
    return total > ALL_FILTERS_BYTES;
  }

  allowsAlways(number: number): boolean {
    return number >= 0 && number < NUMBERS && this.allowed[number] === 1;
  }

  /** What the programs say of a call given as struct seccomp_data in words: all run, and the strictest action wins, the newest among equals. */
  verdict(data: Uint32Array): number {
    let strictest = SECCOMP_RET_ALLOW;
    for (let filter: SeccompFilter | null = this; filter !== null; filter = filter.previous) {
      const result = runProgram(filter.program, data);
      if (((result & SECCOMP_RET_ACTION_FULL) | 0) < ((strictest & SECCOMP_RET_ACTION_FULL) | 0)) strictest = result;
    }
    return strictest;
  }

  /** Whether `this` is `other` or was installed before it. */
  isAncestorOf(other: SeccompFilter): boolean {
    for (let filter: SeccompFilter | null = other; filter !== null; filter = filter.previous) {
      if (filter === this) return true;
    }
    return false;
  }
}

function memoryOf(program: Uint32Array): Bytes {
  return program.byteLength + FILTER_BYTES;
}

function instructions(program: Uint32Array): number {
  return program.length / INSTRUCTION_WORDS;
}
