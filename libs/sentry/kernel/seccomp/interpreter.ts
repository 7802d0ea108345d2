import * as B from '../../abi/seccomp.js';
import { INSTRUCTION_WORDS } from './check.js';

const CLASS = 0x07;
const OPERATION = 0xf0;

// One thread is the whole kernel: the scratch memory of all programs. `isValidProgram` made sure that nothing old is read.
const memory = new Uint32Array(B.BPF_MEMWORDS);

/** `a` and the result are unsigned 32-bit numbers. A division by 0 ends the program with 0: null. */
function calculate(operation: number, a: number, operand: number): number | null {
  switch (operation) {
    case B.BPF_ADD:
      return (a + operand) >>> 0;
    case B.BPF_SUB:
      return (a - operand) >>> 0;
    case B.BPF_MUL:
      return Math.imul(a, operand) >>> 0;
    case B.BPF_DIV:
      return operand === 0 ? null : Math.floor(a / operand);
    case B.BPF_OR:
      return (a | operand) >>> 0;
    case B.BPF_AND:
      return (a & operand) >>> 0;
    case B.BPF_XOR:
      return (a ^ operand) >>> 0;
    case B.BPF_LSH:
      return (a << operand) >>> 0;
    case B.BPF_RSH:
      return a >>> operand;
    default:
      return -a >>> 0;
  }
}

function holds(operation: number, a: number, operand: number): boolean {
  switch (operation) {
    case B.BPF_JEQ:
      return a === operand;
    case B.BPF_JGT:
      return a > operand;
    case B.BPF_JGE:
      return a >= operand;
    default:
      return (a & operand) !== 0;
  }
}

/**
 * Runs a checked program over struct seccomp_data in 32-bit words and gives what it returns, unsigned. It ends: jumps only go forward.
 */
export function runProgram(program: Uint32Array, data: Uint32Array): number {
  let a = 0;
  let x = 0;
  for (let base = 0; ; base += INSTRUCTION_WORDS) {
    const code = program[base];
    const k = program[base + 3];
    switch (code & CLASS) {
      case B.BPF_LD:
        if (code === (B.BPF_LD | B.BPF_ABS)) a = data[k >>> 2];
        else a = code === B.BPF_LD ? k : code === (B.BPF_LD | B.BPF_MEM) ? memory[k] : B.SECCOMP_DATA_BYTES;
        break;
      case B.BPF_LDX:
        x = code === B.BPF_LDX ? k : code === (B.BPF_LDX | B.BPF_MEM) ? memory[k] : B.SECCOMP_DATA_BYTES;
        break;
      case B.BPF_ST:
        memory[k] = a;
        break;
      case B.BPF_STX:
        memory[k] = x;
        break;
      case B.BPF_ALU: {
        const result = calculate(code & OPERATION, a, code & B.BPF_X ? x : k);
        if (result === null) return 0;
        a = result;
        break;
      }
      case B.BPF_JMP: {
        if (code === (B.BPF_JMP | B.BPF_JA)) {
          base += k * INSTRUCTION_WORDS;
          break;
        }
        const taken = holds(code & OPERATION, a, code & B.BPF_X ? x : k);
        base += program[base + (taken ? 1 : 2)] * INSTRUCTION_WORDS;
        break;
      }
      case B.BPF_RET:
        return code & B.BPF_A ? a : k;
      default:
        if (code & B.BPF_TXA) a = x;
        else x = a;
    }
  }
}

/**
 * Whether the program allows a call whatever its arguments and place are: it looks at number and architecture only on its way to
 * SECCOMP_RET_ALLOW (Linux's seccomp_is_const_allow). Such calls need no run.
 */
export function allowsAlways(program: Uint32Array, number: number, architecture: number): boolean {
  let a = 0;
  for (let base = 0; ; base += INSTRUCTION_WORDS) {
    const code = program[base];
    const k = program[base + 3];
    switch (code) {
      case B.BPF_LD | B.BPF_ABS:
        if (k > 4) return false;
        a = k === 0 ? number : architecture;
        break;
      case B.BPF_RET | B.BPF_K:
        return k === B.SECCOMP_RET_ALLOW;
      case B.BPF_JMP | B.BPF_JA:
        base += k * INSTRUCTION_WORDS;
        break;
      case B.BPF_JMP | B.BPF_JEQ | B.BPF_K:
      case B.BPF_JMP | B.BPF_JGE | B.BPF_K:
      case B.BPF_JMP | B.BPF_JGT | B.BPF_K:
      case B.BPF_JMP | B.BPF_JSET | B.BPF_K:
        base += program[base + (holds(code & OPERATION, a, k) ? 1 : 2)] * INSTRUCTION_WORDS;
        break;
      case B.BPF_ALU | B.BPF_AND | B.BPF_K:
        a = (a & k) >>> 0;
        break;
      default:
        return false;
    }
  }
}
