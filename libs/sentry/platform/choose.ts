import { host } from './host.js';
import { KvmPlatform } from './kvm/kvm-platform.js';
import { HostMemoryFile } from './memory-file.js';
import {
  type Context,
  MEMORY_SOURCE,
  type MemoryFile,
  PAGE_SIZE,
  type Platform,
  type PlatformAddressSpace,
  PROT_EXEC,
  PROT_READ,
  Reg,
  Trap,
} from './platform.js';
import { PtracePlatform } from './ptrace/ptrace-platform.js';
import { SystrapPlatform } from './systrap/systrap-platform.js';

/** In the order in which `auto` tries them: it takes the first that works and is fast enough. */
export const PLATFORM_NAMES = ['systrap', 'kvm', 'ptrace'] as const;
export type PlatformName = (typeof PLATFORM_NAMES)[number];

/**
 * A KVM whose calls take longer than this (ns) has no VT-x or SVM under it, or is nested: `auto` passes it by. With hardware under it
 * a call takes one or two microseconds.
 */
const KVM_SLOW = 20e3;

/** A platform as it is made in the zygote; `start` comes in the process that uses it. */
export interface StartablePlatform extends Platform {
  start(): void;
  /** Makes what the first guest will need. Once, after `start`. */
  reserve?(): void;
  /** What is odd about this host's support for it, for people. */
  quirks?(): string[];
}

export interface PlatformProbe {
  readonly name: string;
  readonly works: boolean;
  /** Why it does not work; what is odd about it when it does, or empty. */
  readonly detail: string;
  /** One system call that does nothing, there and back, in ns; the median of some. */
  readonly callTime: number;
}

/** `kvmExitless`: see PoolOptions. */
export function createPlatform(name: PlatformName, memory: MemoryFile, kvmExitless = false): StartablePlatform {
  switch (name) {
    case 'systrap':
      return new SystrapPlatform(memory);
    case 'kvm':
      return new KvmPlatform(memory, kvmExitless);
    case 'ptrace':
      return new PtracePlatform(memory);
  }
}

const CODE = 0x400000;
const UNMAPPED = 0x600000;
/** xor eax,eax; syscall; jmp to itself's start: calls for ever. */
const CALLS = [0x31, 0xc0, 0x0f, 0x05, 0xeb, 0xfa];
/** mov byte [UNMAPPED], 1 */
const FAULT = [0xc6, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00, 0x01];
const FAULT_AT = 0x100;
const PROBE_CALLS = 64;
const PROBE_PATIENCE = 2e9;

function trap(platform: Platform, context: Context, space: PlatformAddressSpace): number {
  platform.resume(context, space);
  return platform.next(platform.now() + PROBE_PATIENCE) === context ? context.trap : 0;
}

/** Runs a small guest: a fault, then system calls. Throws what the host refused. Returns ns per call. */
function runProbe(platform: StartablePlatform): number {
  const { bytes } = platform.memory;
  bytes.set(CALLS, 0);
  bytes.set(FAULT, FAULT_AT);
  const space = platform.createAddressSpace();
  space.map(CODE, PAGE_SIZE, MEMORY_SOURCE, 0, PROT_READ | PROT_EXEC, false);
  const context = platform.createContext();
  context.registers64[Reg.RIP] = BigInt(CODE + FAULT_AT);
  if (trap(platform, context, space) !== Trap.Fault || context.faultAddress !== UNMAPPED) {
    throw new Error('a page fault did not come back as one');
  }
  context.registers64[Reg.RIP] = BigInt(CODE);
  const times: number[] = [];
  for (let call = 0; call < PROBE_CALLS; call++) {
    const start = platform.now();
    if (trap(platform, context, space) !== Trap.Syscall) throw new Error('a system call did not come back as one');
    times.push(platform.now() - start);
  }
  return times.sort((one, other) => one - other)[PROBE_CALLS / 2];
}

/** Tries a platform in this process, with stubs of its own. Precondition: no other platform is in use here. */
export function probePlatform(name: PlatformName): PlatformProbe {
  const memory = new HostMemoryFile();
  const platform = createPlatform(name, memory);
  try {
    memory.attach();
    platform.start();
    const callTime = runProbe(platform);
    return { name, works: true, detail: platform.quirks?.().join('; ') ?? '', callTime };
  } catch (error) {
    return { name, works: false, detail: error instanceof Error ? error.message : String(error), callTime: 0 };
  } finally {
    platform.shutdown();
    host.memoryDetach();
  }
}

/** Whether `auto` may take it. */
export function isFastEnough({ name, callTime }: PlatformProbe): boolean {
  return name !== 'kvm' || callTime <= KVM_SLOW;
}

/**
 * The platform to use: the one asked for, or for `auto` the first that works and is fast enough. Throws with every probe's reason when none does.
 */
export function choosePlatform(requested: string): { name: PlatformName; probes: readonly PlatformProbe[] } {
  const names = PLATFORM_NAMES.filter((name) => requested === 'auto' || requested === name);
  if (names.length === 0) throw new Error(`no platform "${requested}" here`);
  const probes: PlatformProbe[] = [];
  for (const name of names) {
    const probe = probePlatform(name);
    probes.push(probe);
    if (probe.works && (requested !== 'auto' || isFastEnough(probe))) return { name, probes };
  }
  throw new Error(probes.map(({ name, works, detail }) => `${name}: ${works ? 'too slow' : detail}`).join('; '));
}
