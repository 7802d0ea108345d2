import * as B from '../../abi/seccomp.js';

/** One instruction in four words: code, jump if true, jump if false, k (unsigned). */
export const INSTRUCTION_WORDS = 4;

const CODES: ReadonlySet<number> = new Set([
  B.BPF_LD | B.BPF_ABS,
  B.BPF_LD | B.BPF_LEN,
  B.BPF_LD | B.BPF_IMM,
  B.BPF_LD | B.BPF_MEM,
  B.BPF_LDX | B.BPF_LEN,
  B.BPF_LDX | B.BPF_IMM,
  B.BPF_LDX | B.BPF_MEM,
  B.BPF_ST,
  B.BPF_STX,
  B.BPF_RET | B.BPF_K,
  B.BPF_RET | B.BPF_A,
  B.BPF_MISC | B.BPF_TAX,
  B.BPF_MISC | B.BPF_TXA,
  B.BPF_ALU | B.BPF_NEG,
  B.BPF_JMP | B.BPF_JA,
  ...[B.BPF_ADD, B.BPF_SUB, B.BPF_MUL, B.BPF_DIV, B.BPF_AND, B.BPF_OR, B.BPF_XOR, B.BPF_LSH, B.BPF_RSH].flatMap(
    (operation) => [B.BPF_ALU | operation | B.BPF_K, B.BPF_ALU | operation | B.BPF_X],
  ),
  ...[B.BPF_JEQ, B.BPF_JGE, B.BPF_JGT, B.BPF_JSET].flatMap((operation) => [
    B.BPF_JMP | operation | B.BPF_K,
    B.BPF_JMP | operation | B.BPF_X,
  ]),
]);

const CLASS = 0x07;
const OPERATION = 0xf0;

function operandsAreValid(code: number, whenTrue: number, whenFalse: number, k: number, left: number): boolean {
  switch (code) {
    case B.BPF_LD | B.BPF_ABS:
      return k < B.SECCOMP_DATA_BYTES && k % 4 === 0;
    case B.BPF_LD | B.BPF_MEM:
    case B.BPF_LDX | B.BPF_MEM:
    case B.BPF_ST:
    case B.BPF_STX:
      return k < B.BPF_MEMWORDS;
    case B.BPF_ALU | B.BPF_DIV | B.BPF_K:
      return k !== 0;
    case B.BPF_ALU | B.BPF_LSH | B.BPF_K:
    case B.BPF_ALU | B.BPF_RSH | B.BPF_K:
      return k < 32;
    case B.BPF_JMP | B.BPF_JA:
      return k < left;
  }
  return (code & CLASS) !== B.BPF_JMP || (whenTrue < left && whenFalse < left);
}

/** No word of the scratch memory is read on a path where it was not written (Linux's check_load_and_stores). */
function memoryIsWrittenFirst(program: Uint32Array, length: number): boolean {
  // Words known to be written at each instruction; jumps go forward only, so one pass is enough.
  const written = new Uint16Array(length).fill(0xffff);
  let valid = 0;
  for (let pc = 0; pc < length; pc++) {
    const base = pc * INSTRUCTION_WORDS;
    const code = program[base];
    const k = program[base + 3];
    valid &= written[pc];
    if (code === B.BPF_ST || code === B.BPF_STX) valid |= 1 << k;
    else if (code === (B.BPF_LD | B.BPF_MEM) || code === (B.BPF_LDX | B.BPF_MEM)) {
      if (!(valid & (1 << k))) return false;
    } else if ((code & CLASS) === B.BPF_JMP) {
      if ((code & OPERATION) === B.BPF_JA) written[pc + 1 + k] &= valid;
      else {
        written[pc + 1 + program[base + 1]] &= valid;
        written[pc + 1 + program[base + 2]] &= valid;
      }
      valid = 0xffff;
    }
  }
  return true;
}

/**
 * Whether seccomp(2) takes the program (Linux's bpf_check_classic and seccomp_check_filter): known instructions only, aligned loads
 * inside struct seccomp_data, jumps that stay inside, a return at the end, no division by a constant 0.
 */
export function isValidProgram(program: Uint32Array): boolean {
  const length = program.length / INSTRUCTION_WORDS;
  if (length === 0 || length > B.BPF_MAXINSNS) return false;
  for (let pc = 0; pc < length; pc++) {
    const base = pc * INSTRUCTION_WORDS;
    if (!CODES.has(program[base])) return false;
    const left = length - pc - 1;
    if (!operandsAreValid(program[base], program[base + 1], program[base + 2], program[base + 3], left)) return false;
  }
  return (program[(length - 1) * INSTRUCTION_WORDS] & CLASS) === B.BPF_RET && memoryIsWrittenFirst(program, length);
}
