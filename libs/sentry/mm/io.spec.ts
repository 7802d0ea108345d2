import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from '@cordon/sentry/abi/mman';
import { BufferIo, Direction, guestIo, MAX_RW_COUNT, releaseIo, vectorIo } from '@cordon/sentry/mm/io';
import { MemoryManager } from '@cordon/sentry/mm/memory-manager';
import { modelEnvironment } from '@cordon/sentry/mm/test/model-platform';
import type { IoBuffer } from '@cordon/sentry/mm/types';
import { beforeEach, describe, expect, it } from 'vitest';

const PAGE = 4096;
const BASE = 0x100000;
/** [BASE, +8 pages) is mapped; nothing after it. */
let memory: MemoryManager;

beforeEach(() => {
  memory = new MemoryManager(modelEnvironment());
  memory.mmap({
    address: BASE,
    length: 8 * PAGE,
    protection: 3,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    object: null,
    offset: 0,
    maxProtection: 7,
  });
});

function vector(elements: readonly (readonly [number, number])[], direction: Direction): IoBuffer | number {
  elements.forEach(([base, length], index) => {
    memory.writeU64(BASE + index * 16, base);
    memory.writeU64(BASE + index * 16 + 8, length);
  });
  return vectorIo(memory, BASE, elements.length, direction);
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('transfers', () => {
  it('move one range, short at the first unmapped byte', () => {
    const io = guestIo(memory, Float64Array.of(BASE + 8 * PAGE - 3), 0, 10, Direction.ToGuest);
    expect(io.put(bytes('ab'), 0, 2)).toBe(2);
    expect(io.put(bytes('cdef'), 0, 4)).toBe(1);
    expect([io.done, io.remaining, io.faulted]).toEqual([3, 0, true]);
    expect(memory.readU8(BASE + 8 * PAGE - 1)).toBe(99);
    releaseIo(io);
  });

  it('scatter and gather over an iovec with empty elements', () => {
    const elements = [
      [BASE + PAGE, 3],
      [0, 0],
      [BASE + 2 * PAGE - 1, 2],
      [BASE + 5 * PAGE, 100],
    ] as const;
    const into = vector(elements, Direction.ToGuest) as IoBuffer;
    expect(into.remaining).toBe(105);
    expect(into.put(bytes('abcdefgh'), 0, 8)).toBe(8);
    expect(into.putZeros(1)).toBe(1);
    releaseIo(into);
    const from = vector(elements, Direction.FromGuest) as IoBuffer;
    const out = new Uint8Array(9);
    expect(from.take(out, 0, 9)).toBe(9);
    expect(Buffer.from(out).toString('latin1')).toBe('abcdefgh\0');
    expect(from.remaining).toBe(96);
  });

  it('give direct runs that advance', () => {
    const io = vector([[BASE + PAGE, PAGE]], Direction.ToGuest) as IoBuffer;
    const length = io.run(100);
    expect(length).toBe(100);
    io.runBytes[io.runOffset] = 42;
    io.advance(length);
    expect(memory.readU8(BASE + PAGE)).toBe(42);
    expect([io.done, io.remaining]).toEqual([100, PAGE - 100]);
  });

  it('are refused as import_iovec refuses', () => {
    expect(vectorIo(memory, BASE, 1025, Direction.ToGuest)).toBe(-22);
    expect(vectorIo(memory, BASE, -1, Direction.ToGuest)).toBe(-22);
    expect(vectorIo(memory, 16, 1, Direction.ToGuest)).toBe(-14);
    expect(vector([[BASE, -1]], Direction.ToGuest)).toBe(-22);
    expect(vector([[-4096, 10]], Direction.ToGuest)).toBe(-14);
    expect(guestIo(memory, Float64Array.of(BASE), 0, -1, Direction.ToGuest).faulted).toBe(true);
    const long = vector(
      [
        [BASE, 2 ** 31],
        [BASE, 2 ** 31],
      ],
      Direction.ToGuest,
    ) as IoBuffer;
    expect(long.remaining).toBe(MAX_RW_COUNT);
  });

  it('work on the Sentry’s own bytes too', () => {
    const io = new BufferIo(new Uint8Array(4), 1, 3);
    expect(io.put(bytes('abcdef'), 2, 4)).toBe(3);
    expect(io.run(5)).toBe(0);
    expect(io.remaining).toBe(0);
  });
});
