/** Descriptor tables of the virtual machine: Intel SDM volume 3, chapters 3, 6 and 7. Selectors are those of Linux, which guests can see. */
import {
  AreaPage,
  EXCEPTION_STACK,
  EXCEPTIONS,
  INT_80,
  KERNEL_BASE_HIGH,
  KICK_VECTOR,
  kernelAddressLow,
  LEGACY_VECTOR,
  PAGE_BYTES,
  STUB_VECTOR_BYTES,
  Stub,
} from './layout.js';

export const KERNEL_CODE = 0x10;
/** User code of 32 bits; STAR counts from it: +8 data, +16 code of 64 bits. */
export const USER_CODE_32 = 0x23;
export const TASK_SELECTOR = 0x40;

/** High word of a flat segment: type and rights, granularity, size. */
const SEGMENTS: readonly (readonly [selector: number, high: number])[] = [
  [KERNEL_CODE, 0x00af9b00],
  [0x18, 0x00cf9300],
  [0x20, 0x00cffb00],
  [0x28, 0x00cff300],
  [0x30, 0x00affb00],
];
const FLAT_LOW = 0x0000ffff;

/** The task state lies behind the GDT in the same page. */
const TASK_OFFSET = 0x100;
const TASK_BYTES = 0x68;
const TASK_RSP0 = 4;
const TASK_IO_MAP = 0x66;
const GATE_INTERRUPT = 0x8e00;
const GATE_FROM_USER = 0x6000;
const VECTOR_BP = 3;
const VECTOR_OF = 4;

/** What the processor is told about the tables. */
export const DESCRIPTOR_REGISTERS = {
  gdtLow: kernelAddressLow(AreaPage.Descriptors),
  gdtLimit: TASK_SELECTOR + 15,
  idtLow: kernelAddressLow(AreaPage.Interrupts),
  idtLimit: 256 * 16 - 1,
  taskLow: (kernelAddressLow(AreaPage.Descriptors) + TASK_OFFSET) >>> 0,
  taskLimit: TASK_BYTES - 1,
} as const;

/** Fills the pages of GDT, TSS and IDT. Precondition: they are zero. */
export function writeDescriptors(area: Uint32Array): void {
  const gdt = (AreaPage.Descriptors * PAGE_BYTES) / 4;
  for (const [selector, high] of SEGMENTS) {
    area[gdt + selector / 4] = FLAT_LOW;
    area[gdt + selector / 4 + 1] = high;
  }
  const task = DESCRIPTOR_REGISTERS.taskLow;
  area[gdt + TASK_SELECTOR / 4] = ((task & 0xffff) << 16) | DESCRIPTOR_REGISTERS.taskLimit;
  area[gdt + TASK_SELECTOR / 4 + 1] = (task & 0xff000000) | 0x8b00 | ((task >>> 16) & 0xff);
  area[gdt + TASK_SELECTOR / 4 + 2] = KERNEL_BASE_HIGH;

  const taskBytes = new DataView(area.buffer, area.byteOffset + AreaPage.Descriptors * PAGE_BYTES + TASK_OFFSET);
  taskBytes.setUint32(TASK_RSP0, kernelAddressLow(AreaPage.Stack) + EXCEPTION_STACK, true);
  taskBytes.setUint32(TASK_RSP0 + 4, KERNEL_BASE_HIGH, true);
  // Past the end: no port is allowed.
  taskBytes.setUint16(TASK_IO_MAP, TASK_BYTES, true);

  for (let vector = 0; vector < EXCEPTIONS; vector++) {
    writeGate(area, vector, vector, vector === VECTOR_BP || vector === VECTOR_OF);
  }
  writeGate(area, KICK_VECTOR, KICK_VECTOR, false);
  writeGate(area, INT_80, LEGACY_VECTOR, true);
}

function writeGate(area: Uint32Array, vector: number, stubVector: number, fromUser: boolean): void {
  const at = (AreaPage.Interrupts * PAGE_BYTES + vector * 16) / 4;
  const handler = kernelAddressLow(AreaPage.Text) + Stub.Vectors + stubVector * STUB_VECTOR_BYTES;
  area[at] = (KERNEL_CODE << 16) | (handler & 0xffff);
  area[at + 1] = (handler & 0xffff0000) | GATE_INTERRUPT | (fromUser ? GATE_FROM_USER : 0);
  area[at + 2] = KERNEL_BASE_HIGH;
}
