import { accessSync, constants } from 'node:fs';
import { host } from '@cordon/sentry/platform/host';
import { KvmPlatform } from '@cordon/sentry/platform/kvm/kvm-platform';
import { HostMemoryFile } from '@cordon/sentry/platform/memory-file';
import { type Context, MEMORY_SOURCE, type PlatformAddressSpace, Reg, Trap } from '@cordon/sentry/platform/platform';
import { PtracePlatform, ptraceNative } from '@cordon/sentry/platform/ptrace/ptrace-platform';
import { evaluateFilter } from '@cordon/sentry/platform/seccomp-program';
import type { StubPlatform } from '@cordon/sentry/platform/stubs/stub-platform';
import { SystrapPlatform } from '@cordon/sentry/platform/systrap/systrap-platform';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const CODE = 0x400000;
const DATA = 0x500000;
const SYSCALL = [0x0f, 0x05];
/** jmp to itself */
const SPIN = [0xeb, 0xfe];

const PLATFORMS: [string, (memory: HostMemoryFile) => StubPlatform][] = [
  ['ptrace', (memory) => new PtracePlatform(memory)],
  ['systrap', (memory) => new SystrapPlatform(memory)],
  ['kvm', (memory) => new KvmPlatform(memory)],
];

/** Why this host has no KVM for us; empty where it has. */
function kvmDenied(): string {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

const denied = kvmDenied();

let memory: HostMemoryFile;
let platform: StubPlatform;

/** A context about to run the given machine code, with one page of data. */
function guest(code: readonly number[], frame = 0): { context: Context; space: PlatformAddressSpace } {
  memory.bytes.set(code, frame * 4096);
  const space = platform.createAddressSpace();
  space.map(CODE, 4096, MEMORY_SOURCE, frame * 4096, 5, false);
  space.map(DATA, 4096, MEMORY_SOURCE, (frame + 1) * 4096, 3, false);
  const context = platform.createContext();
  context.registers64[Reg.RIP] = BigInt(CODE);
  context.registers64[Reg.RSP] = BigInt(DATA + 4096);
  return { context, space };
}

function trapOf(context: Context, space: PlatformAddressSpace): number {
  platform.resume(context, space);
  const trapped = platform.next(host.now() + 5e9);
  expect(trapped).toBe(context);
  return context.trap;
}

describe.skipIf(denied === '')('kvm platform', () => {
  it.skip(`is not tried: ${denied}`);
});

describe.each(PLATFORMS.filter(([name]) => name !== 'kvm' || denied === ''))('%s platform', (name, create) => {
  beforeAll(() => {
    memory = new HostMemoryFile();
    platform = create(memory);
  });
  beforeEach(() => {
    memory.attach();
    platform.start();
  });
  afterEach(() => platform.shutdown());

  it('traps a system call with its arguments and gives back the result', () => {
    // mov eax, 39; syscall; mov [0x500000], eax; mov eax, 60; syscall
    const { context, space } = guest([
      0xb8,
      39,
      0,
      0,
      0,
      ...SYSCALL,
      0x89,
      0x04,
      0x25,
      0,
      0,
      0x50,
      0,
      0xb8,
      60,
      0,
      0,
      0,
      ...SYSCALL,
    ]);
    context.registers64[Reg.RDI] = 0xffffffffffffffffn;
    expect(trapOf(context, space)).toBe(Trap.Syscall);
    expect(context.registers64[Reg.ORIG_RAX]).toBe(39n);
    expect(context.registers64[Reg.RDI]).toBe(0xffffffffffffffffn);
    context.registers64[Reg.RAX] = 1234n;
    expect(trapOf(context, space)).toBe(Trap.Syscall);
    expect(context.registers64[Reg.ORIG_RAX]).toBe(60n);
    expect(memory.view.getUint32(4096, true)).toBe(1234);
  });

  it('reports faults with their address, and retries after the page is mapped', () => {
    // mov byte [0x600000], 7; syscall
    const { context, space } = guest([0xc6, 0x04, 0x25, 0, 0, 0x60, 0, 7, ...SYSCALL]);
    expect(trapOf(context, space)).toBe(Trap.Fault);
    expect(context.faultAddress).toBe(0x600000);
    space.map(0x600000, 4096, MEMORY_SOURCE, 8 * 4096, 1, false);
    expect(trapOf(context, space)).toBe(Trap.Fault);
    expect(context.signalCode).toBe(2);
    space.protect(0x600000, 4096, 3);
    expect(trapOf(context, space)).toBe(Trap.Syscall);
    expect(memory.bytes[8 * 4096]).toBe(7);
    space.unmap(0x600000, 4096);
    context.registers64[Reg.RIP] = BigInt(CODE);
    expect(trapOf(context, space)).toBe(Trap.Fault);
  });

  it('interrupts a spinning guest and goes on afterwards', () => {
    const { context, space } = guest(SPIN);
    platform.resume(context, space);
    expect(platform.next(host.now() + 20e6)).toBeNull();
    platform.interrupt(context);
    expect(platform.next(host.now() + 5e9)).toBe(context);
    expect(context.trap).toBe(Trap.Interrupted);
    expect(context.registers64[Reg.RIP]).toBe(BigInt(CODE));
    expect(platform.cpuTime()).toBeGreaterThan(0);
  });

  it('maps into a space whose only thread is running', () => {
    // spin while [0x500000] is zero, then syscall
    const { context, space } = guest([0x83, 0x3c, 0x25, 0, 0, 0x50, 0, 0, 0x74, 0xf6, ...SYSCALL]);
    platform.resume(context, space);
    expect(platform.next(host.now() + 1e6)).toBeNull();
    space.map(0x700000, 4096, MEMORY_SOURCE, 9 * 4096, 3, false);
    memory.view.setUint32(4096, 1, true);
    expect(platform.next(host.now() + 5e9)).toBe(context);
    expect(context.trap).toBe(Trap.Syscall);
  });

  it('runs two threads of one space and two spaces side by side', () => {
    const one = guest([0xb8, 1, 0, 0, 0, ...SYSCALL, ...SPIN], 0);
    const other = guest([0xb8, 2, 0, 0, 0, ...SYSCALL, ...SPIN], 16);
    const thread = platform.createContext();
    thread.copyFrom(one.context);
    platform.resume(one.context, one.space);
    platform.resume(thread, one.space);
    platform.resume(other.context, other.space);
    const seen = new Map<Context, bigint>();
    for (let count = 0; count < 3; count++) {
      const context = platform.next(host.now() + 5e9);
      if (context) seen.set(context, context.registers64[Reg.ORIG_RAX]);
    }
    expect(seen.get(one.context)).toBe(1n);
    expect(seen.get(thread)).toBe(1n);
    expect(seen.get(other.context)).toBe(2n);
    platform.resume(thread, one.space);
    thread.release();
    one.context.release();
    one.space.release();
    platform.resume(other.context, other.space);
    platform.interrupt(other.context);
    expect(platform.next(host.now() + 5e9)).toBe(other.context);
  });

  it('tells int 0x80 from a 64-bit call', () => {
    const { context, space } = guest([0xb8, 20, 0, 0, 0, 0xcd, 0x80]);
    expect(trapOf(context, space)).toBe(Trap.LegacySyscall);
    expect(context.registers64[Reg.ORIG_RAX]).toBe(20n);
  });

  it('catches vsyscalls', () => {
    // mov rax, 0xffffffffff600400; xor edi, edi; call rax; syscall
    const { context, space } = guest([0x48, 0xc7, 0xc0, 0, 0x04, 0x60, 0xff, 0x31, 0xff, 0xff, 0xd0, ...SYSCALL]);
    const trap = trapOf(context, space);
    if (trap === Trap.Syscall && context.registers64[Reg.ORIG_RAX] === 201n) {
      context.registers64[Reg.RAX] = 77n;
      expect(trapOf(context, space)).toBe(Trap.Syscall);
      expect(context.registers64[Reg.ORIG_RAX]).toBe(77n);
    } else {
      // A host without a vsyscall page.
      expect([Trap.Fault, Trap.Exception]).toContain(trap);
    }
  });

  it('keeps FPU state per context, through copies and round trips', () => {
    // movq xmm3, rdi; syscall; movq rsi, xmm3; syscall
    const code = [0x66, 0x48, 0x0f, 0x6e, 0xdf, ...SYSCALL, 0x66, 0x48, 0x0f, 0x7e, 0xde, ...SYSCALL];
    const { context, space } = guest(code);
    context.registers64[Reg.RDI] = 0x1122334455667788n;
    expect(trapOf(context, space)).toBe(Trap.Syscall);
    const area = new Uint8Array(context.xsaveSize);
    expect(context.readXsave(area)).toBe(area.length);
    expect(new DataView(area.buffer).getBigUint64(160 + 3 * 16, true)).toBe(0x1122334455667788n);
    new DataView(area.buffer).setBigUint64(160 + 3 * 16, 42n, true);
    expect(context.writeXsave(area)).toBe(true);
    const copy = platform.createContext();
    copy.copyFrom(context);
    expect(trapOf(context, space)).toBe(Trap.Syscall);
    expect(context.registers64[Reg.RSI]).toBe(42n);
    expect(trapOf(copy, space)).toBe(Trap.Syscall);
    expect(copy.registers64[Reg.RSI]).toBe(42n);
    area.fill(0xff, 512, 576);
    expect(context.writeXsave(area)).toBe(false);
  });

  it.runIf(name === 'systrap')(
    'takes short calls, with all registers and vector state, and leaves them changed at will',
    () => {
      const offset = platform.shortCall();
      // movq xmm3, rdi; mov eax, 7; lea rcx, [rip+8]; jmp gs:[offset]; movq rsi, xmm3; syscall
      const jump = [0x65, 0xff, 0x24, 0x25, offset & 255, offset >> 8, 0, 0];
      const code = [0x66, 0x48, 0x0f, 0x6e, 0xdf, 0xb8, 7, 0, 0, 0, 0x48, 0x8d, 0x0d, 8, 0, 0, 0, ...jump];
      const { context, space } = guest([...code, 0x66, 0x48, 0x0f, 0x7e, 0xde, ...SYSCALL]);
      context.registers64[Reg.RDI] = 0x1122334455667788n;
      context.registers64[Reg.R9] = 99n;
      expect(trapOf(context, space)).toBe(Trap.Syscall);
      expect(context.patchable).toBe(false);
      expect(context.registers64[Reg.ORIG_RAX]).toBe(7n);
      expect(context.registers64[Reg.R9]).toBe(99n);
      expect(context.registers64[Reg.RIP]).toBe(BigInt(CODE + code.length));
      const area = new Uint8Array(context.xsaveSize);
      context.readXsave(area);
      expect(new DataView(area.buffer).getBigUint64(160 + 3 * 16, true)).toBe(0x1122334455667788n);
      new DataView(area.buffer).setBigUint64(160 + 3 * 16, 42n, true);
      expect(context.writeXsave(area)).toBe(true);
      context.registers64[Reg.RBX] = 1234n;
      expect(trapOf(context, space)).toBe(Trap.Syscall);
      expect(context.patchable).toBe(true);
      expect(context.registers64[Reg.RSI]).toBe(42n);
      expect(context.registers64[Reg.RBX]).toBe(1234n);
    },
  );

  it('turns processor exceptions into signals', () => {
    const { context, space } = guest([0x0f, 0x0b]);
    expect(trapOf(context, space)).toBe(Trap.Exception);
    expect(context.signal).toBe(4);
  });

  // Reading a filter back takes CAP_SYS_ADMIN.
  it.runIf(process.getuid?.() === 0 && name === 'ptrace')(
    'keeps the stub to the calls that are written down: its live filter allows nothing else',
    () => {
      const room = new Uint8Array(8 * 256);
      const count = ptraceNative.stubFilter(room);
      expect(count).toBeGreaterThan(0);
      const program = room.slice(0, count * 8);
      const allowed = (number: number, args: readonly number[]) => evaluateFilter(program, number, args) === 'allow';
      const [MMAP, MPROTECT, MUNMAP, CLONE] = [9, 10, 11, 56];
      const numbers = Array.from({ length: 600 }, (_unused, number) => number).filter((number) =>
        allowed(number, [0, 0, 0, 0, 0, 0]),
      );
      expect(numbers).toEqual([MPROTECT, MUNMAP]);
      // Shared and fixed, with populate, or the stub's own page at its start.
      const flags = Array.from({ length: 0x10000 }, (_unused, value) => value).filter((value) =>
        allowed(MMAP, [0, 0, 0, value, 0, 0]),
      );
      expect(flags).toEqual([0x11, 0x32, 0x8011]);
      expect(allowed(CLONE, [0x52f00])).toBe(true);
      expect(allowed(CLONE, [0xa400])).toBe(true);
      for (const value of [0, 17, 0x00010000, 0x10000000, 0x52f00 | 0x20000000])
        expect(allowed(CLONE, [value])).toBe(false);
      expect(evaluateFilter(program, MUNMAP, [0, 0], 0x40000003)).toBe('kill');
    },
  );
});
