/**
 * Compiles a list of allowed system calls into a classic BPF program for seccomp(2). What is not listed kills the
 * process. Pure: the same list is read by the tests and by the documentation.
 */
import { SYS } from '../abi/syscall-numbers.js';

/** A condition on one argument. Only what is written here is compared, so say it exactly. */
export type ArgumentRule =
  /** The low 32 bits (an int, such as a descriptor) are one of these. Negative numbers as they are. */
  | { readonly index: number; readonly oneOf: readonly number[] }
  /** All 64 bits: no bit outside `mask` (below 2^32) is set. */
  | { readonly index: number; readonly within: number };

/** One allowed call. All argument rules must hold; several rules for one call are alternatives. */
export interface SyscallRule {
  readonly name: keyof typeof SYS;
  readonly arguments?: readonly ArgumentRule[];
  /** Who needs it, and for what. */
  readonly why: string;
}

const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_GREATER_EQUAL = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_SET = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K

const OFFSET_NUMBER = 0;
const OFFSET_ARCHITECTURE = 4;
const OFFSET_ARGUMENTS = 16;

const AUDIT_ARCH_X86_64 = 0xc000003e;
const X32_BIT = 0x40000000;
const RET_KILL_PROCESS = 0x80000000;
const RET_ALLOW = 0x7fff0000;

interface Instruction {
  code: number;
  whenTrue: number;
  whenFalse: number;
  k: number;
}

/** Placeholder of a jump to the end of the rule it stands in. */
const TO_NEXT_RULE = -1;

function compileArgument(rule: ArgumentRule): Instruction[] {
  const low = OFFSET_ARGUMENTS + 8 * rule.index;
  if ('oneOf' in rule) {
    const { oneOf } = rule;
    return [
      { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, k: low },
      ...oneOf.map((value, position) => ({
        code: JUMP_EQUAL,
        whenTrue: oneOf.length - 1 - position,
        whenFalse: position === oneOf.length - 1 ? TO_NEXT_RULE : 0,
        k: value >>> 0,
      })),
    ];
  }
  return [
    { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, k: low + 4 },
    { code: JUMP_EQUAL, whenTrue: 0, whenFalse: TO_NEXT_RULE, k: 0 },
    { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, k: low },
    { code: JUMP_SET, whenTrue: TO_NEXT_RULE, whenFalse: 0, k: ~rule.within >>> 0 },
  ];
}

function compileRule(rule: SyscallRule): Instruction[] {
  const instructions: Instruction[] = [
    { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, k: OFFSET_NUMBER },
    { code: JUMP_EQUAL, whenTrue: 0, whenFalse: TO_NEXT_RULE, k: SYS[rule.name] },
    ...(rule.arguments ?? []).flatMap(compileArgument),
    { code: RETURN, whenTrue: 0, whenFalse: 0, k: RET_ALLOW },
  ];
  instructions.forEach((instruction, index) => {
    const distance = instructions.length - 1 - index;
    if (distance > 255) throw new RangeError(`the rule for ${rule.name} is too long`);
    if (instruction.whenTrue === TO_NEXT_RULE) instruction.whenTrue = distance;
    if (instruction.whenFalse === TO_NEXT_RULE) instruction.whenFalse = distance;
  });
  return instructions;
}

/** The program as `struct sock_filter[]` in the machine's byte order. Put the hot calls first: rules are tried in order. */
export function compileFilter(rules: readonly SyscallRule[]): Uint8Array {
  const instructions: Instruction[] = [
    { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, k: OFFSET_ARCHITECTURE },
    { code: JUMP_EQUAL, whenTrue: 1, whenFalse: 0, k: AUDIT_ARCH_X86_64 },
    { code: RETURN, whenTrue: 0, whenFalse: 0, k: RET_KILL_PROCESS },
    { code: LOAD_WORD, whenTrue: 0, whenFalse: 0, k: OFFSET_NUMBER },
    { code: JUMP_GREATER_EQUAL, whenTrue: 0, whenFalse: 1, k: X32_BIT },
    { code: RETURN, whenTrue: 0, whenFalse: 0, k: RET_KILL_PROCESS },
    ...rules.flatMap(compileRule),
    { code: RETURN, whenTrue: 0, whenFalse: 0, k: RET_KILL_PROCESS },
  ];
  const bytes = new Uint8Array(instructions.length * 8);
  const view = new DataView(bytes.buffer);
  instructions.forEach(({ code, whenTrue, whenFalse, k }, index) => {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, whenTrue);
    view.setUint8(index * 8 + 3, whenFalse);
    view.setUint32(index * 8 + 4, k >>> 0, true);
  });
  return bytes;
}

/** What a program answers to a call: runs it as the kernel would. For tests and `doctor`. */
export function evaluateFilter(
  program: Uint8Array,
  number: number,
  args: readonly number[],
  architecture = AUDIT_ARCH_X86_64,
): 'allow' | 'kill' {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(OFFSET_NUMBER, number >>> 0, true);
  data.setUint32(OFFSET_ARCHITECTURE, architecture, true);
  for (const [index, value] of args.entries()) data.setBigInt64(OFFSET_ARGUMENTS + 8 * index, BigInt(value), true);
  let accumulator = 0;
  for (let pc = 0; pc < program.length / 8; pc++) {
    const code = view.getUint16(pc * 8, true);
    const k = view.getUint32(pc * 8 + 4, true);
    let taken: boolean;
    if (code === LOAD_WORD) {
      accumulator = data.getUint32(k, true);
      continue;
    }
    if (code === RETURN) return k === RET_ALLOW ? 'allow' : 'kill';
    if (code === JUMP_EQUAL) taken = accumulator === k;
    else if (code === JUMP_GREATER_EQUAL) taken = accumulator >= k;
    else if (code === JUMP_SET) taken = (accumulator & k) !== 0;
    else throw new RangeError(`instruction ${code.toString(16)} is none of ours`);
    pc += view.getUint8(pc * 8 + (taken ? 2 : 3));
  }
  throw new RangeError('the program runs past its end');
}
