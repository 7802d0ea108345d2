import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '@cordon/sentry/abi/mman';
import { MemoryManager } from '@cordon/sentry/mm/memory-manager';
import { type ModelEnvironment, type ModelSpace, modelEnvironment } from '@cordon/sentry/mm/test/model-platform';
import type { Mappable } from '@cordon/sentry/mm/types';
import { Access } from '@cordon/sentry/platform/platform';
import { describe, expect, it } from 'vitest';

const PAGE = 4096;
const SIGBUS = 7;
const SIGSEGV = 11;
const READ = 1;
const WRITE = 2;
const EXEC = 4;
const RW = READ | WRITE;

function anonymous(memory: MemoryManager, address: number, pages: number, protection = RW, flags = 0): number {
  return memory.mmap({
    address,
    length: pages * PAGE,
    protection,
    flags: flags | MAP_ANONYMOUS | ((flags & MAP_SHARED) !== 0 ? 0 : MAP_PRIVATE),
    object: null,
    offset: 0,
    maxProtection: 7,
  });
}

function forked(memory: MemoryManager): MemoryManager {
  const child = memory.fork();
  if (child === null) throw new Error('the model has room');
  return child;
}

/** Does what a guest instruction would: uses the host's mapping if it permits, else faults. Returns the byte, 0 for writes, or -signal. */
function guestAccess(
  environment: ModelEnvironment,
  memory: MemoryManager,
  address: number,
  write: number | null,
): number {
  const space = memory.space as ModelSpace;
  const page = address - (address % PAGE);
  for (let attempt = 0; attempt < 6; attempt++) {
    const mapped = space.pages.get(page);
    const needed = write === null ? 7 : WRITE;
    if (mapped && (mapped.protection & needed) !== 0) {
      if (mapped.file >= 0) {
        if (write !== null) throw new Error('the guest may write an image file');
        const file = environment.files.get(mapped.file)!;
        if (mapped.offset >= file.length) return -SIGBUS;
        return file[mapped.offset + (address - page)] ?? 0;
      }
      const at = mapped.offset + (address - page);
      if (write === null) return environment.memory.bytes[at];
      environment.memory.bytes[at] = write;
      return 0;
    }
    const signal = memory.fault(address, Access.Unknown, mapped ? 2 : 1, 1);
    if (signal !== 0) return -signal;
  }
  throw new Error(`fault at ${address.toString(16)} is never resolved`);
}

function imageFile(environment: ModelEnvironment, fd: number, content: Uint8Array): Mappable & { references: number } {
  environment.files.set(fd, content);
  return {
    hostFile: fd,
    size: () => content.length,
    references: 0,
    retain() {
      this.references++;
    },
    release() {
      this.references--;
    },
    device: 1,
    inode: fd,
    mapName: () => '/image',
  };
}

describe('memory manager', () => {
  it('gives zeroed anonymous memory that keeps what the guest and the Sentry write', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 0, 40);
    expect(address % PAGE).toBe(0);
    expect(guestAccess(environment, memory, address + 5 * PAGE, null)).toBe(0);
    expect(guestAccess(environment, memory, address + 7, 42)).toBe(0);
    expect(memory.readU8(address + 7)).toBe(42);
    expect(memory.copyOut(address + PAGE - 3, new Uint8Array([1, 2, 3, 4, 5, 6]), 0, 6)).toBe(6);
    expect(guestAccess(environment, memory, address + PAGE + 2, null)).toBe(6);
  });

  it('answers EFAULT by a short count at the first page that is not mapped', () => {
    const memory = new MemoryManager(modelEnvironment());
    const address = anonymous(memory, 0x100000, 2, RW, MAP_FIXED);
    expect(memory.copyOut(address + PAGE, new Uint8Array(2 * PAGE), 0, 2 * PAGE)).toBe(PAGE);
    expect(memory.copyIn(-1, new Uint8Array(8), 0, 8)).toBe(0);
    expect(memory.copyIn(2 ** 60, new Uint8Array(8), 0, 8)).toBe(0);
    expect(memory.readU64(Number.NaN)).toBeNaN();
    expect(memory.readString(address + 2 * PAGE, 10)).toBe(-14);
  });

  it('reads byte strings across pages and refuses those without a NUL within the limit', () => {
    const memory = new MemoryManager(modelEnvironment());
    const address = anonymous(memory, 0, 3);
    memory.copyOut(address + PAGE - 2, Buffer.from('h\xe9llo\0', 'latin1'), 0, 6);
    expect(memory.readString(address + PAGE - 2, 4095)).toBe('h\xe9llo');
    expect(memory.readString(address + PAGE - 2, 5)).toBe('h\xe9llo');
    expect(memory.readString(address + PAGE - 2, 4)).toBe(-36);
  });

  it('keeps 64-bit words signed', () => {
    const memory = new MemoryManager(modelEnvironment());
    const address = anonymous(memory, 0, 1);
    memory.writeU64(address, -1);
    expect(memory.readU64(address)).toBe(-1);
    memory.writeU64(address + 4, 0x123456789a);
    expect(memory.readU64(address + 4)).toBe(0x123456789a);
    expect(memory.compareExchangeU32(address, 0xffffffff, 5)).toBe(0xffffffff);
    expect(memory.readU32(address)).toBe(5);
  });

  it('costs nothing for reservations of hundreds of gigabytes', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 0, (256 * 2 ** 30) / PAGE, 0);
    expect(address).toBeGreaterThan(0);
    expect(guestAccess(environment, memory, address, null)).toBe(-SIGSEGV);
    expect(memory.mprotect(address + 2 ** 35, 64 * PAGE, RW)).toBe(0);
    expect(guestAccess(environment, memory, address + 2 ** 35 + 5, 9)).toBe(0);
    expect(memory.munmap(address, 256 * 2 ** 30)).toBe(0);
    expect(environment.frames.committed).toBe(0);
  });

  it('maps image files directly, copies what is written, and ends them with SIGBUS', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const content = new Uint8Array(200 * PAGE + 10).fill(7);
    const object = imageFile(environment, 5, content);
    const request = { address: 0, length: 210 * PAGE, flags: MAP_PRIVATE, object, offset: 0, maxProtection: 7 };
    const address = memory.mmap({ ...request, protection: RW });
    expect(environment.frames.committed).toBe(0);
    expect(guestAccess(environment, memory, address + 9, null)).toBe(7);
    expect(environment.frames.committed).toBe(0);
    expect(guestAccess(environment, memory, address + 9, 8)).toBe(0);
    expect(memory.readU8(address + 9)).toBe(8);
    expect(memory.readU8(address + 10)).toBe(7);
    expect(content[9]).toBe(7);
    expect(guestAccess(environment, memory, address + 200 * PAGE + 9, 1)).toBe(0);
    expect(guestAccess(environment, memory, address + 200 * PAGE + 11, null)).toBe(0);
    expect(guestAccess(environment, memory, address + 201 * PAGE, null)).toBe(-SIGBUS);
    expect(memory.copyIn(address + 201 * PAGE, new Uint8Array(1), 0, 1)).toBe(0);
    expect(object.references).toBe(1);
    memory.munmap(address, 210 * PAGE);
    expect(object.references).toBe(0);
    expect(environment.frames.committed).toBe(0);
  });

  it('tells a page without the right from a page that is not there', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 0, 2, READ);
    expect(guestAccess(environment, memory, address, null)).toBe(0);
    expect(guestAccess(environment, memory, address, 1)).toBe(-SIGSEGV);
    expect(memory.faultCode).toBe(2);
    expect(guestAccess(environment, memory, 0x20000, 1)).toBe(-SIGSEGV);
    expect(memory.faultCode).toBe(1);
  });

  it('makes NX faults fatal even where the kind of access is unknown', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 0, 1);
    expect(guestAccess(environment, memory, address, 1)).toBe(0);
    const first = memory.fault(address, Access.Unknown, 2, 1);
    expect(first === 0 ? memory.fault(address, Access.Unknown, 2, 1) : first).toBe(SIGSEGV);
  });

  it('lets each of several threads that faulted at one address before the first was answered try again', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 3, 1);
    expect(guestAccess(environment, memory, address, 7)).toBe(0);
    for (const thread of [1, 2, 3]) expect(memory.fault(address, Access.Unknown, 2, thread)).toBe(0);
    expect(memory.fault(address, Access.Unknown, 2, 2)).toBe(SIGSEGV);
  });

  it('forks by copy-on-write in both directions, and gives a sole owner its page back without copying', () => {
    const environment = modelEnvironment();
    const parent = new MemoryManager(environment);
    const address = anonymous(parent, 0, 64);
    for (let page = 0; page < 64; page++) guestAccess(environment, parent, address + page * PAGE, page + 1);
    const before = environment.frames.committed;
    const child = forked(parent);
    expect(environment.frames.committed).toBe(before);
    expect(guestAccess(environment, parent, address, 100)).toBe(0);
    expect(child.readU8(address)).toBe(1);
    expect(guestAccess(environment, child, address + PAGE, 101)).toBe(0);
    expect(parent.readU8(address + PAGE)).toBe(2);
    expect(child.writeU32(address + 2 * PAGE, 77)).toBe(true);
    expect(guestAccess(environment, parent, address + 2 * PAGE, null)).toBe(3);
    child.release();
    const calls = (parent.space as ModelSpace).calls;
    const committed = environment.frames.committed;
    expect(guestAccess(environment, parent, address + 3 * PAGE, 5)).toBe(0);
    expect(environment.frames.committed).toBe(committed);
    expect((parent.space as ModelSpace).calls).toBe(calls + 1);
    parent.release();
    expect(environment.frames.committed).toBe(0);
  });

  it('copies what was written first after a fork before the next child runs, and leaves it writable to the parent', () => {
    const environment = modelEnvironment();
    const parent = new MemoryManager(environment);
    const address = anonymous(parent, 0, 64);
    for (let page = 0; page < 64; page++) guestAccess(environment, parent, address + page * PAGE, page + 1);
    const first = forked(parent);
    guestAccess(environment, first, address, 50);
    for (const page of [0, 40]) guestAccess(environment, parent, address + page * PAGE, 51);
    first.release();
    const committed = environment.frames.committed;
    const second = forked(parent);
    const calls = [parent, second].map(({ space }) => (space as ModelSpace).calls);
    for (const memory of [parent, second])
      for (const page of [0, 40]) expect(guestAccess(environment, memory, address + page * PAGE, 60)).toBe(0);
    expect([parent, second].map(({ space }) => (space as ModelSpace).calls)).toEqual(calls);
    // Each has its own, of all else one.
    expect(guestAccess(environment, second, address + 1, 61)).toBe(0);
    expect(guestAccess(environment, parent, address + 1, null)).toBe(0);
    expect(guestAccess(environment, second, address + 20 * PAGE, null)).toBe(21);
    expect((environment.frames.committed - committed) / PAGE).toBeLessThanOrEqual(16);
    // A protected area, and one that is gone, are not copied.
    parent.mprotect(address, 16 * PAGE, READ);
    parent.munmap(address + 40 * PAGE, PAGE);
    const third = forked(parent);
    expect(guestAccess(environment, third, address, 1)).toBe(-SIGSEGV);
    expect(guestAccess(environment, third, address, null)).toBe(60);
    expect(guestAccess(environment, third, address + 40 * PAGE, null)).toBe(-SIGSEGV);
    for (const memory of [third, second, parent]) memory.release();
    expect(environment.frames.committed).toBe(0);
  });

  it('survives that the mappings the host allows run out in the middle of mprotect', () => {
    for (let left = 1; left <= 20; left++) {
      const environment = modelEnvironment();
      const memory = new MemoryManager(environment);
      const address = anonymous(memory, 0, 64);
      for (let page = 0; page < 64; page++) guestAccess(environment, memory, address + page * PAGE, page);
      const child = forked(memory);
      // Copied in windows of eight: runs of pages that may be written, and that are shared, take turns.
      for (let page = 0; page < 64; page += 16) guestAccess(environment, memory, address + page * PAGE, 100);
      (memory as unknown as { hostCalls: number }).hostCalls = 30_000 - left;
      expect(memory.mprotect(address, 64 * PAGE, RW | EXEC)).toBe(0);
      for (let page = 0; page < 64; page++) {
        const byte = page % 16 === 0 ? 100 : page;
        expect(guestAccess(environment, memory, address + page * PAGE, null)).toBe(byte);
        expect(guestAccess(environment, memory, address + page * PAGE, 1)).toBe(0);
        expect(guestAccess(environment, child, address + page * PAGE, null)).toBe(page);
      }
    }
  });

  it('survives that the mappings the host allows run out in the middle of fork', () => {
    for (let left = 1; left <= 20; left++) {
      const environment = modelEnvironment();
      const memory = new MemoryManager(environment);
      const address = anonymous(memory, 0, 64);
      for (let page = 0; page < 64; page++) guestAccess(environment, memory, address + page * PAGE, page);
      for (let page = 0; page < 64; page += 4) memory.madvise(address + page * PAGE, PAGE, MADV_DONTNEED);
      (memory as unknown as { hostCalls: number }).hostCalls = 30_000 - left;
      const child = forked(memory);
      for (let page = 0; page < 64; page++) {
        const byte = page % 4 === 0 ? 0 : page;
        expect(guestAccess(environment, memory, address + page * PAGE, 1)).toBe(0);
        expect(guestAccess(environment, child, address + page * PAGE, null)).toBe(byte);
      }
    }
  });

  it('leaves the parent as it was when the host has no room for a child', () => {
    const environment = modelEnvironment();
    const parent = new MemoryManager(environment);
    const address = anonymous(parent, 0, 64);
    for (let page = 0; page < 64; page++) guestAccess(environment, parent, address + page * PAGE, page + 1);
    const before = environment.frames.committed;
    const first = forked(parent);
    guestAccess(environment, first, address, 1);
    first.release();
    (parent.space as ModelSpace).full = true;
    expect(parent.fork()).toBe(null);
    expect(environment.frames.committed).toBe(before);
    // A sole owner again: written in place, not copied.
    for (let page = 0; page < 64; page++) expect(guestAccess(environment, parent, address + page * PAGE, 100)).toBe(0);
    expect(environment.frames.committed).toBe(before);
    (parent.space as ModelSpace).full = false;
    const child = forked(parent);
    expect(child.readU8(address)).toBe(100);
    child.release();
    parent.release();
    expect(environment.frames.committed).toBe(0);
  });

  it('grows the stack down to its limit but not into what is below', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    memory.createStack(32 * PAGE, false);
    const top = memory.layout.stackTop;
    expect(guestAccess(environment, memory, top - 100 * PAGE, 1)).toBe(0);
    expect(guestAccess(environment, memory, top - (9 << 20), 1)).toBe(-SIGSEGV);
    anonymous(memory, top - 300 * PAGE, 1, RW, MAP_FIXED);
    expect(guestAccess(environment, memory, top - 298 * PAGE, 1)).toBe(-SIGSEGV);
  });

  it('moves the break and never fails with an errno', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    memory.startBrk(0x500000);
    const start = memory.brk(0);
    expect(memory.brk(start + 10 * PAGE + 5)).toBe(start + 10 * PAGE + 5);
    expect(guestAccess(environment, memory, start + 10 * PAGE, 1)).toBe(0);
    expect(memory.brk(start - 1)).toBe(start + 10 * PAGE + 5);
    expect(memory.brk(start)).toBe(start);
    expect(memory.brk(start + 11 * PAGE)).toBe(start + 11 * PAGE);
    expect(guestAccess(environment, memory, start + 10 * PAGE, null)).toBe(0);
    anonymous(memory, Math.ceil(start / PAGE) * PAGE + 20 * PAGE, 1, RW, MAP_FIXED);
    expect(memory.brk(start + 30 * PAGE)).toBe(start + 11 * PAGE);
  });

  it('refuses what Linux refuses', () => {
    const memory = new MemoryManager(modelEnvironment());
    const address = anonymous(memory, 0x200000, 1, RW, MAP_FIXED);
    expect(anonymous(memory, 0x200000, 1, RW, MAP_FIXED_NOREPLACE)).toBe(-17);
    expect(anonymous(memory, 0x200001, 1, RW, MAP_FIXED)).toBe(-22);
    expect(anonymous(memory, 0x1000, 1, RW, MAP_FIXED)).toBe(-1);
    expect(anonymous(memory, 0, 0)).toBe(-22);
    expect(anonymous(memory, 0, -1)).toBe(-12);
    expect(memory.mprotect(address, 2 * PAGE, READ)).toBe(-12);
    expect(memory.mprotect(address + 1, PAGE, READ)).toBe(-22);
    expect(memory.munmap(address, 0)).toBe(-22);
    expect(memory.madvise(address, PAGE, 12345)).toBe(-22);
    expect(memory.madvise(address, 2 * PAGE, MADV_DONTNEED)).toBe(-12);
  });

  it('reports the memory limit as SIGKILL and remembers that it was hit', () => {
    const environment = modelEnvironment();
    environment.frames.limit = 32 * PAGE;
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 0, 64);
    let page = 0;
    while (page < 64 && guestAccess(environment, memory, address + page * PAGE, 1) === 0) page++;
    expect(page).toBe(32);
    expect(memory.fault(address + page * PAGE, Access.Write, 1, 1)).toBe(9);
    expect(environment.frames.limitHit).toBe(true);
  });

  it('never lets a guest reach the host limit on mappings', () => {
    const environment = modelEnvironment();
    const memory = new MemoryManager(environment);
    const address = anonymous(memory, 0x40000000, 1, RW, MAP_FIXED);
    for (let round = 0; round < 40_000; round++) {
      anonymous(memory, address, 1, RW, MAP_FIXED);
      guestAccess(environment, memory, address, round & 0xff);
    }
    expect(guestAccess(environment, memory, address, null)).toBe(39_999 & 0xff);
    for (let round = 0; round < 40_000; round++) {
      memory.mprotect(address, PAGE, round % 2 === 0 ? READ : RW);
      guestAccess(environment, memory, address, null);
    }
    expect(guestAccess(environment, memory, address, 5)).toBe(0);
  });
});

/** What one page of a process should be. */
interface ModelPage {
  protection: number;
  value: { byte: number };
  shared: boolean;
}

describe.each([
  ['mapping image files', true],
  ['copying image files', false],
])('memory manager against a model, %s', (_name, mapsFiles) => {
  it('agrees on contents and rights over random operations', () => {
    const environment = modelEnvironment(64 << 20, mapsFiles);
    const content = new Uint8Array(80 * PAGE);
    for (let page = 0; page < 80; page++) content.fill(200 + (page % 50), page * PAGE, (page + 1) * PAGE);
    const file = imageFile(environment, 9, content);
    const base = 0x10000000;
    const pages = 192;
    let seed = 12345;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    type Process = { memory: MemoryManager; model: Map<number, ModelPage> };
    const processes: Process[] = [{ memory: new MemoryManager(environment), model: new Map() }];
    const rights = [0, READ, RW, RW, RW, READ | EXEC, RW | EXEC];

    const check = ({ memory, model }: Process, page: number): void => {
      const address = base + page * PAGE + 17;
      const expected = model.get(page);
      const seen = guestAccess(environment, memory, address, null);
      const readable = expected !== undefined && expected.protection !== 0;
      expect(seen).toBe(readable ? expected.value.byte : -SIGSEGV);
      expect(memory.readU8(address)).toEqual(readable ? expected.value.byte : Number.NaN);
    };

    for (let step = 0; step < 10_000; step++) {
      const process = processes[random(processes.length)];
      const { memory, model } = process;
      const page = random(pages);
      const count = 1 + random(random(4) === 0 ? pages - page : Math.min(20, pages - page));
      const address = base + page * PAGE;
      const protection = rights[random(rights.length)];
      switch (random(13)) {
        case 0:
        case 1: {
          const shared = random(3) === 0;
          anonymous(memory, address, count, protection, MAP_FIXED | (shared ? MAP_SHARED : 0));
          for (let at = page; at < page + count; at++) model.set(at, { protection, value: { byte: 0 }, shared });
          break;
        }
        case 2: {
          const first = random(40);
          const length = Math.min(count, 80 - first);
          memory.mmap({
            address,
            length: length * PAGE,
            protection,
            flags: MAP_PRIVATE | MAP_FIXED,
            object: file,
            offset: first * PAGE,
            maxProtection: 7,
          });
          for (let at = 0; at < length; at++) {
            model.set(page + at, { protection, value: { byte: 200 + ((first + at) % 50) }, shared: false });
          }
          break;
        }
        case 3:
          expect(memory.munmap(address, count * PAGE)).toBe(0);
          for (let at = page; at < page + count; at++) model.delete(at);
          break;
        case 4:
        case 5: {
          let hole = count;
          for (let at = 0; at < count && hole === count; at++) if (!model.has(page + at)) hole = at;
          expect(memory.mprotect(address, count * PAGE, protection)).toBe(hole === count ? 0 : -12);
          for (let at = page; at < page + hole; at++) model.get(at)!.protection = protection;
          break;
        }
        case 6:
        case 7:
        case 8: {
          const byte = random(200);
          for (let at = page; at < page + count; at++) {
            const target = base + at * PAGE + 17;
            const expected = model.get(at);
            const allowed = expected !== undefined && (expected.protection & WRITE) !== 0;
            if (random(2) === 0) {
              expect(guestAccess(environment, memory, target, byte)).toBe(allowed ? 0 : -SIGSEGV);
            } else {
              expect(memory.copyOut(target, new Uint8Array([byte]), 0, 1)).toBe(allowed ? 1 : 0);
            }
            if (allowed) expected.value.byte = byte;
          }
          break;
        }
        case 9: {
          if (processes.length >= 4) {
            const [dead] = processes.splice(1 + random(processes.length - 1), 1);
            dead.memory.release();
            break;
          }
          const copy = new Map<number, ModelPage>();
          for (const [at, of] of model) {
            copy.set(at, { ...of, value: of.shared ? of.value : { byte: of.value.byte } });
          }
          processes.push({ memory: forked(memory), model: copy });
          break;
        }
        case 10: {
          // Move within the arena. Only whole uniform ranges move; anything else must be refused without a change.
          const target = random(pages - Math.min(count, pages - 1));
          if (target + count > pages || (target < page + count && page < target + count)) break;
          const result = memory.mremap(
            address,
            count * PAGE,
            count * PAGE,
            MREMAP_MAYMOVE | MREMAP_FIXED,
            base + target * PAGE,
          );
          if (result < 0) {
            expect(result).toBe(-14);
            break;
          }
          expect(result).toBe(base + target * PAGE);
          for (let at = 0; at < count; at++) {
            model.set(target + at, model.get(page + at)!);
            model.delete(page + at);
          }
          break;
        }
        case 11: {
          let anonymousOnly = true;
          for (let at = page; at < page + count; at++) {
            const of = model.get(at);
            if (of === undefined || of.shared || of.value.byte >= 200) anonymousOnly = false;
          }
          const region: boolean[] = [];
          memory.regions((info) => {
            if (info.inode !== 0 && info.start < address + count * PAGE && info.end > address) region.push(true);
          });
          if (!anonymousOnly || region.length > 0) break;
          expect(memory.madvise(address, count * PAGE, MADV_DONTNEED)).toBe(0);
          for (let at = page; at < page + count; at++) model.get(at)!.value.byte = 0;
          break;
        }
        default:
          for (let at = page; at < page + count; at++) check(process, at);
      }
      if (step % 500 === 0) for (const each of processes) for (let at = 0; at < pages; at++) check(each, at);
    }
    for (const each of processes) each.memory.release();
    expect(environment.frames.committed).toBe(0);
    expect(file.references).toBe(0);
  });
});
