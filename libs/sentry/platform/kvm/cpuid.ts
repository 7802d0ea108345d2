/**
 * What CPUID tells guests: what KVM supports, without what takes a kernel's help that the Sentry does not give. Entries are
 * struct kvm_cpuid_entry2: ten words. Bits: Intel SDM volume 2, CPUID.
 */

const WORDS = 10;
const FUNCTION = 0;
const INDEX = 1;
const Register = { EAX: 3, EBX: 4, ECX: 5, EDX: 6 } as const;
type RegisterPlace = (typeof Register)[keyof typeof Register];

const bits = (...places: number[]): number => places.reduce((mask, place) => mask | (1 << place), 0);

/** x87, SSE, AVX, the three of AVX-512. Not AMX, which has to be asked for, nor CET, nor protection keys. */
const USABLE_FEATURES = 0xe7;
const LEGACY_BYTES = 576;

interface Removal {
  readonly leaf: number;
  readonly index: number;
  readonly register: RegisterPlace;
  readonly mask: number;
}

const REMOVED: readonly Removal[] = [
  // MONITOR, VMX, SMX, PCID, X2APIC, TSC deadline timer
  { leaf: 1, index: 0, register: Register.ECX, mask: bits(3, 5, 6, 17, 21, 24) },
  // INVPCID, MPX, processor trace
  { leaf: 7, index: 0, register: Register.EBX, mask: bits(10, 14, 25) },
  // PKU, OSPKE, WAITPKG, CET shadow stacks, LA57, bus lock, ENQCMD, PKS
  { leaf: 7, index: 0, register: Register.ECX, mask: bits(3, 4, 5, 7, 16, 24, 29, 31) },
  // user interrupts, CET branch tracking, AMX (bf16, tile, int8)
  { leaf: 7, index: 0, register: Register.EDX, mask: bits(5, 20, 22, 24, 25) },
  // AMX fp16, LAM
  { leaf: 7, index: 1, register: Register.EAX, mask: bits(21, 26) },
  // XSAVES, XFD
  { leaf: 0xd, index: 1, register: Register.EAX, mask: bits(3, 4) },
  // SVM
  { leaf: 0x80000001, index: 0, register: Register.ECX, mask: bits(2) },
];

/** Leaves that are left out: AMX palettes, trace, SGX, the hypervisor's own. */
function isDropped(leaf: number): boolean {
  return leaf === 0x12 || leaf === 0x14 || leaf === 0x1d || leaf === 0x1e || (leaf >= 0x40000000 && leaf < 0x50000000);
}

export interface GuestCpuid {
  readonly entries: Uint32Array;
  /** For XCR0. */
  readonly features: number;
  /** Of the xsave area with those features, standard format. */
  readonly xsaveBytes: number;
  readonly hasFsGsBase: boolean;
  readonly hasXsave: boolean;
}

export function guestCpuid(supported: Uint32Array): GuestCpuid {
  const kept: number[] = [];
  let features = 0;
  let xsaveBytes = LEGACY_BYTES;
  let hasFsGsBase = false;
  let hasXsave = false;
  const supportedFeatures = find(supported, 0xd, 0, Register.EAX) & USABLE_FEATURES;
  for (let at = 0; at + WORDS <= supported.length; at += WORDS) {
    const entry = supported.slice(at, at + WORDS);
    const leaf = entry[FUNCTION];
    const index = entry[INDEX];
    if (isDropped(leaf)) continue;
    for (const removal of REMOVED) {
      if (removal.leaf === leaf && removal.index === index) entry[removal.register] &= ~removal.mask;
    }
    if (leaf === 1) {
      // Not the hypervisor's guest as far as programs are concerned: systrap shows the host's own.
      hasXsave = (entry[Register.ECX] & bits(26)) !== 0;
    } else if (leaf === 7 && index === 0) {
      hasFsGsBase = (entry[Register.EBX] & 1) !== 0;
    } else if (leaf === 0xd && index === 0) {
      features = supportedFeatures;
      entry[Register.EAX] = features;
      entry[Register.EDX] = 0;
    } else if (leaf === 0xd && index >= 2) {
      if (index > 31 || (supportedFeatures & (1 << index)) === 0) continue;
      xsaveBytes = Math.max(xsaveBytes, entry[Register.EAX] + entry[Register.EBX]);
    }
    kept.push(...entry);
  }
  return { entries: Uint32Array.from(kept), features, xsaveBytes, hasFsGsBase, hasXsave };
}

function find(entries: Uint32Array, leaf: number, index: number, register: RegisterPlace): number {
  for (let at = 0; at + WORDS <= entries.length; at += WORDS) {
    if (entries[at + FUNCTION] === leaf && entries[at + INDEX] === index) return entries[at + register];
  }
  return 0;
}
