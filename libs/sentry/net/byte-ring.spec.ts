import { BufferIo } from '@cordon/sentry/mm/io';
import { ByteRing } from '@cordon/sentry/net/byte-ring';
import { kernelBuffers } from '@cordon/sentry/net/kernel-buffers';
import { describe, expect, it } from 'vitest';

const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (at * 7 + seed) & 255);

describe('ByteRing', () => {
  it('keeps order across growth and wrap-around, and holds no memory when empty', () => {
    const before = kernelBuffers.inUse;
    const ring = new ByteRing(65536);
    const expected: number[] = [];
    const got: number[] = [];
    for (let round = 0; round < 200; round++) {
      const piece = bytes((round * 977) % 5000, round);
      const written = ring.write(new BufferIo(piece), piece.length);
      expected.push(...piece.subarray(0, Math.max(0, written)));
      const out = new Uint8Array((round * 613) % 4500);
      const read = ring.read(new BufferIo(out), out.length);
      got.push(...out.subarray(0, Math.max(0, read)));
    }
    const rest = new Uint8Array(ring.length);
    ring.read(new BufferIo(rest), rest.length);
    got.push(...rest);
    expect(got).toEqual(expected);
    expect(kernelBuffers.inUse).toBe(before);
  });

  it('stops at its capacity', () => {
    const ring = new ByteRing(10_000);
    expect(ring.write(new BufferIo(bytes(20_000, 1)), 20_000)).toBe(10_000);
    expect(ring.write(new BufferIo(bytes(1, 1)), 1)).toBe(0);
    ring.clear();
  });

  it('answers ENOMEM when the sandbox has no kernel memory left, and works again afterwards', () => {
    const { limit } = kernelBuffers;
    const ring = new ByteRing(65536);
    kernelBuffers.limit = kernelBuffers.inUse;
    try {
      expect(ring.write(new BufferIo(bytes(10, 1)), 10)).toBe(-12);
    } finally {
      kernelBuffers.limit = limit;
    }
    expect(ring.write(new BufferIo(bytes(10, 1)), 10)).toBe(10);
    ring.clear();
  });
});
