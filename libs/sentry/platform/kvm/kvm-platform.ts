import { native } from '../native/index.js';
import { type Bytes, type MemoryFile, type PlatformAddressSpace, PlatformError } from '../platform.js';
import type { StubNative } from '../stubs/stub-native.js';
import { StubPlatform } from '../stubs/stub-platform.js';
import { guestCpuid } from './cpuid.js';
import { DESCRIPTOR_REGISTERS, KERNEL_CODE, USER_CODE_32, writeDescriptors } from './descriptors.js';
import { KvmAddressSpace, type Machine } from './kvm-space.js';
import { AreaPage, KERNEL_BASE_HIGH, kernelAddressLow, MAX_ADDRESS, Stub } from './layout.js';
import { noticesRemoval, tellsTime } from './quirks.js';
import { TableArea } from './table-area.js';

/** The native half (native/kvm.c). Results are >= 0 or -errno. */
interface KvmNative extends StubNative {
  reserveArea(): ArrayBuffer | number;
  open(): number;
  supportedCpuid(out: Uint32Array): number;
  setCpuid(entries: Uint32Array, features: number, xsaveBytes: Bytes): number;
  setProcessor(values: BigUint64Array): number;
  /** `original` is CR3 here. */
  createSpace(root: number): number;
  /** Bytes of the host's time pages, now in guest-physical memory; 0 or -errno where that cannot be. */
  hostTime(): Bytes;
  flush(): number;
  drop(offset: Bytes, length: Bytes): number;
  forgetTables(): number;
  trouble(): string;
  callsStay(): number;
  beside(on: number, fsGsBase: number): number;
}

const kvmNative = native.kvm as KvmNative;

const CPUID_WORDS = 256 * 10;

/** Whether KVM notices that a page table entry was taken away. Found once, inherited by children. */
let notices: boolean | null = null;
/** Whether guests can read the host's clocks with the host's code. Likewise. */
let hostTime: boolean | null = null;

const MSR_STAR = 0xc0000081n;
const MSR_LSTAR = 0xc0000082n;
const MSR_CSTAR = 0xc0000083n;
const MSR_SYSCALL_MASK = 0xc0000084n;
/** What Linux clears of RFLAGS on a system call. */
const SYSCALL_MASK = 0x257fd5n;

const CR4_PAE = 1 << 5;
const CR4_OSFXSR = 1 << 9;
const CR4_OSXMMEXCPT = 1 << 10;
const CR4_FSGSBASE = 1 << 16;
const CR4_OSXSAVE = 1 << 18;

function must(result: number, what: string): number {
  if (result < 0) throw new PlatformError(`${what}: errno ${-result}`);
  return result;
}

function kernelAddress(low: number): bigint {
  return (BigInt(KERNEL_BASE_HIGH) << 32n) | BigInt(low);
}

/**
 * Guest code in ring 3 of a virtual machine of one processor (native/kvm.c), whose page tables are written here. Constructed in the
 * zygote, where /dev/kvm can be opened; `start` makes the machine in the process that uses it: KVM binds it to that process's memory.
 */
export class KvmPlatform extends StubPlatform {
  private readonly tables: TableArea;
  private readonly machine: Machine;

  /** `exitless`: another core may run the machine while a guest does little but call (native/kvm-beside.c). */
  constructor(
    memory: MemoryFile,
    private readonly exitless = false,
  ) {
    super('kvm', memory, kvmNative, MAX_ADDRESS);
    const area = kvmNative.reserveArea();
    if (typeof area === 'number') throw new PlatformError(`the machine's own memory: errno ${-area}`);
    this.tables = new TableArea(area, () => must(kvmNative.forgetTables(), 'making KVM forget page tables'));
    // A failure is told by `start`.
    kvmNative.open();
    this.machine = {
      tables: this.tables,
      spaces: new Set(),
      createSpace: (root) => must(kvmNative.createSpace(root), 'creating an address space'),
      releaseSpace: (index) => void kvmNative.releaseSpace(index),
      spaceTime: (index) => kvmNative.spaceTime(index),
      flush: () => void kvmNative.flush(),
      drop: (offset, length) => void must(kvmNative.drop(offset, length), 'dropping translations'),
    };
  }

  override start(): void {
    this.boot(hostTime !== false);
    notices ??= noticesRemoval(this);
    this.tables.shadowed = !notices;
    if (hostTime !== null) return;
    hostTime = this.hostVdso !== null && tellsTime(this, this.hostVdso);
    // A guest that could not even ask may have left the processor anywhere.
    if (!hostTime) this.boot(false);
  }

  private boot(withHostTime: boolean): void {
    must(kvmNative.open(), 'opening /dev/kvm');
    const supported = new Uint32Array(CPUID_WORDS);
    const count = must(kvmNative.supportedCpuid(supported), 'reading the CPUID that KVM supports');
    const { entries, features, xsaveBytes, hasFsGsBase, hasXsave } = guestCpuid(supported.subarray(0, count * 10));
    kvmNative.beside(this.exitless ? 1 : 0, hasFsGsBase ? 1 : 0);
    super.start();
    this.tables.start();
    this.machine.spaces.clear();
    // Cautious until it is known.
    this.tables.shadowed = notices !== true;
    writeDescriptors(this.tables.words);
    must(kvmNative.setCpuid(entries, features, xsaveBytes), 'setting CPUID');
    const cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (hasFsGsBase ? CR4_FSGSBASE : 0) | (hasXsave ? CR4_OSXSAVE : 0);
    must(kvmNative.setProcessor(this.processor(cr4)), 'setting the processor up');
    const timeBytes = withHostTime ? kvmNative.hostTime() : 0;
    if (timeBytes > 0) this.tables.showHostTime(timeBytes);
    else this.hostVdso = null;
  }

  override createAddressSpace(): PlatformAddressSpace {
    const space = KvmAddressSpace.create(this.machine);
    if (space === null) throw new PlatformError('no room for page tables');
    return space;
  }

  /** For a probe: entries change without a word to KVM. Returns what brings the words back. */
  silently(change: () => void): void {
    const { shadowed } = this.tables;
    this.tables.shadowed = false;
    change();
    this.tables.shadowed = shadowed;
  }

  /** What is odd about this KVM, for people; empty for one on VT-x or SVM with nested paging. */
  quirks(): string[] {
    const found: string[] = [];
    if (kvmNative.callsStay() === 1) found.push('system calls come as page faults');
    if (notices === false) found.push('does not notice removed mappings by itself');
    if (hostTime === false) found.push('guests make system calls to read clocks');
    return found;
  }

  private processor(cr4: number): BigUint64Array {
    const { gdtLow, gdtLimit, idtLow, idtLimit, taskLow, taskLimit } = DESCRIPTOR_REGISTERS;
    const text = kernelAddress(kernelAddressLow(AreaPage.Text));
    const root = this.tables.allocateRoot();
    const star = (BigInt(USER_CODE_32) << 48n) | (BigInt(KERNEL_CODE) << 32n);
    return BigUint64Array.from([
      BigInt(root) << 12n,
      BigInt(cr4),
      kernelAddress(gdtLow),
      BigInt(gdtLimit),
      kernelAddress(idtLow),
      BigInt(idtLimit),
      kernelAddress(taskLow),
      BigInt(taskLimit),
      ...[MSR_STAR, star],
      ...[MSR_LSTAR, text + BigInt(Stub.Syscall)],
      ...[MSR_CSTAR, text + BigInt(Stub.Legacy)],
      ...[MSR_SYSCALL_MASK, SYSCALL_MASK],
    ]);
  }
}
