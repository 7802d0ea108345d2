import { KvmAddressSpace, type Machine } from '@cordon/sentry/platform/kvm/kvm-space';
import { AreaPage } from '@cordon/sentry/platform/kvm/layout';
import { TableArea } from '@cordon/sentry/platform/kvm/table-area';
import { MEMORY_SOURCE } from '@cordon/sentry/platform/platform';
import { describe, expect, it } from 'vitest';

const PAGE = 4096;
/** A space of one page has a root, three tables below it, and two for the last 2 MiB. */
const TABLES = 6;

function machine(pages: number, shadowed = false) {
  const log: string[] = [];
  const tables = new TableArea(new ArrayBuffer(pages * PAGE), () => void log.push('forget'));
  tables.start();
  tables.shadowed = shadowed;
  let next = 0;
  const made: Machine & { log: string[] } = {
    log,
    tables,
    spaces: new Set(),
    createSpace: () => next++,
    releaseSpace: () => undefined,
    spaceTime: () => 0,
    flush: () => void log.push('flush'),
    drop: (offset, length) => void log.push(`drop ${offset / PAGE}+${length / PAGE}`),
  };
  return made;
}

function create(on: Machine): KvmAddressSpace {
  const space = KvmAddressSpace.create(on);
  if (space === null) throw new Error('no room');
  return space;
}

/** What the processor would find: frame and rights of a page, or null. */
function walk(on: Machine, root: number, address: number): { frame: number; rights: string } | null {
  const { words } = on.tables;
  let table = root;
  for (let unit = 2 ** 39; unit > PAGE; unit /= 512) {
    table = words[table * 1024 + (Math.floor(address / unit) % 512) * 2] >>> 12;
    if (table === 0) return null;
  }
  const entry = table * 1024 + ((address / PAGE) % 512) * 2;
  const [low, high] = [words[entry], words[entry + 1]];
  if ((low & 1) === 0) return null;
  expect(high & 0xffff).toBe(1);
  return { frame: low >>> 12, rights: `r${low & 2 ? 'w' : '-'}${high >>> 31 ? '-' : 'x'}` };
}

const FIRST_ROOT = AreaPage.FirstFree;

describe('page tables', () => {
  it('map, protect and unmap over the borders of tables', () => {
    const on = machine(64);
    const space = create(on);
    const start = 0x40000000 - 3 * PAGE;
    space.map(start, 6 * PAGE, MEMORY_SOURCE, 10 * PAGE, 3);
    space.protect(start + 2 * PAGE, 2 * PAGE, 5);
    space.unmap(start + 4 * PAGE, PAGE);
    const seen = Array.from({ length: 8 }, (_unused, page) => walk(on, FIRST_ROOT, start + (page - 1) * PAGE));
    expect(seen).toEqual([
      null,
      { frame: 10, rights: 'rw-' },
      { frame: 11, rights: 'rw-' },
      { frame: 12, rights: 'r-x' },
      { frame: 13, rights: 'r-x' },
      null,
      { frame: 15, rights: 'rw-' },
      null,
    ]);
    space.unmap(0, 0x7ffff0000000);
    expect(walk(on, FIRST_ROOT, start)).toBeNull();
  });

  it('tell KVM of what went away only where it would not notice, frames side by side in one go', () => {
    for (const shadowed of [false, true]) {
      const on = machine(64, shadowed);
      const space = create(on);
      space.map(0x10000, 4 * PAGE, MEMORY_SOURCE, 20 * PAGE, 1);
      expect(on.log).toEqual([]);
      space.protect(0x10000, 4 * PAGE, 3);
      expect(on.log.splice(0)).toEqual(['flush']);
      space.protect(0x10000, 4 * PAGE, 1);
      expect(on.log.splice(0)).toEqual(shadowed ? ['drop 20+4', 'flush'] : ['flush']);
      space.map(0x11000, PAGE, MEMORY_SOURCE, 30 * PAGE, 3);
      expect(on.log.splice(0)).toEqual(shadowed ? ['drop 21+1', 'flush'] : ['flush']);
      space.unmap(0x10000, 4 * PAGE);
      expect(on.log.splice(0)).toEqual(shadowed ? ['drop 20+1', 'drop 30+1', 'drop 22+2', 'flush'] : ['flush']);
    }
  });

  it('are copied for a clone, which then goes its own way', () => {
    const on = machine(64);
    const space = create(on);
    space.map(0x7f0000000000, 2 * PAGE, MEMORY_SOURCE, PAGE, 3);
    const copy = space.clone();
    space.unmap(0x7f0000000000, PAGE);
    const root = FIRST_ROOT + TABLES;
    expect(walk(on, root, 0x7f0000000000)).toEqual({ frame: 1, rights: 'rw-' });
    expect(walk(on, FIRST_ROOT, 0x7f0000000000)).toBeNull();
    copy?.release();
    expect(walk(on, FIRST_ROOT, 0x7f0000001000)).toEqual({ frame: 2, rights: 'rw-' });
  });

  it('of released spaces are used again, with shadow paging only after KVM forgot them', () => {
    for (const shadowed of [false, true]) {
      const on = machine(AreaPage.FirstFree + TABLES + 2, shadowed);
      for (let round = 0; round < 3; round++) {
        const space = create(on);
        space.map(0x10000, PAGE, MEMORY_SOURCE, PAGE, 3);
        expect(KvmAddressSpace.create(on)).toBeNull();
        space.release();
      }
      expect(on.log.filter((line) => line === 'forget').length > 0).toBe(shadowed);
    }
  });

  it('that nothing is left in make room for others', () => {
    for (const shadowed of [false, true]) {
      const on = machine(AreaPage.FirstFree + 40, shadowed);
      const [space, other] = [create(on), create(on)];
      other.map(0x10000, PAGE, MEMORY_SOURCE, 5 * PAGE, 3);
      for (let at = 1; at < 200; at++) {
        space.map(at * 0x200000, PAGE, MEMORY_SOURCE, PAGE, 3);
        space.unmap(at * 0x200000, PAGE);
      }
      space.map(0x10000, PAGE, MEMORY_SOURCE, 7 * PAGE, 3);
      expect(walk(on, FIRST_ROOT, 0x10000)?.frame).toBe(7);
      expect(() => {
        for (let at = 1; at < 200; at++) space.map(at * 0x200000, PAGE, MEMORY_SOURCE, PAGE, 3);
      }).toThrow('no room for page tables');
    }
  });
});
