import { Frames } from '@cordon/sentry/mm/frames';
import { ArrayMemory } from '@cordon/sentry/mm/test/model-platform';
import { describe, expect, it } from 'vitest';

const PAGE = 4096;
const ZEROS = new Uint8Array(PAGE);

function isZero(frames: Frames, frame: number): boolean {
  return Buffer.compare(frames.bytes.subarray(frame * PAGE, (frame + 1) * PAGE), ZEROS) === 0;
}

describe('frame allocator', () => {
  it('never hands out a frame twice, gives zeros, and counts, over random use', () => {
    const frames = new Frames(new ArrayMemory(32 << 20));
    const live = new Map<number, number>();
    let seed = 99;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    for (let step = 0; step < 20_000; step++) {
      if (random(100) < 52) {
        const count = random(3) === 0 ? 1 + random(70) : 1;
        const first = count === 1 ? frames.allocate() : frames.allocateRun(count);
        if (first < 0) {
          for (const frame of [...live.keys()]) if (random(2) === 0) drop(frame);
          continue;
        }
        expect(first).toBeGreaterThan(0);
        for (let frame = first; frame < first + count; frame++) {
          if (live.has(frame)) throw new Error(`frame ${frame} is handed out twice`);
          if (!isZero(frames, frame)) throw new Error(`frame ${frame} is not zero`);
          frames.bytes[frame * PAGE + random(PAGE)] = 1;
          live.set(frame, 1);
        }
      } else if (live.size > 0) {
        let skipped = random(Math.min(live.size, 50));
        let frame = 0;
        for (frame of live.keys()) if (skipped-- === 0) break;
        if (random(4) === 0) {
          frames.retain(frame);
          live.set(frame, (live.get(frame) ?? 0) + 1);
        } else {
          drop(frame);
        }
      }
      expect(frames.committed).toBe(live.size * PAGE);
    }
    function drop(frame: number): void {
      const count = live.get(frame) ?? 0;
      expect(frames.references(frame)).toBe(count);
      frames.release(frame);
      if (count === 1) live.delete(frame);
      else live.set(frame, count - 1);
    }
  });

  it('stops at the limit, says so, and goes on when memory comes back', () => {
    const frames = new Frames(new ArrayMemory(8 << 20));
    frames.limit = 20 * PAGE;
    const first = frames.allocateRun(18);
    expect(frames.allocateRun(3)).toBe(-12);
    expect(frames.limitHit).toBe(true);
    expect(frames.allocate()).toBeGreaterThan(0);
    frames.release(first);
    expect(frames.allocate()).toBeGreaterThan(0);
    expect(frames.peak).toBe(19 * PAGE);
  });

  it('gives host memory back once much of it is free, and still gives zeros', () => {
    let discarded = 0;
    const memory = new (class extends ArrayMemory {
      override discard(offset: number, length: number): void {
        discarded += length;
        super.discard(offset, length);
      }
    })(256 << 20);
    const frames = new Frames(memory);
    const count = (128 << 20) / PAGE;
    const first = frames.allocateRun(count);
    for (let frame = first; frame < first + count; frame++) frames.bytes[frame * PAGE] = 7;
    for (let frame = first; frame < first + count; frame++) frames.release(frame);
    expect(discarded).toBeGreaterThanOrEqual(64 << 20);
    const again = frames.allocateRun(count);
    for (let frame = again; frame < again + count; frame++) expect(frames.bytes[frame * PAGE]).toBe(0);
  });
});
