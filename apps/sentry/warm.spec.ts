import { installSeededRandom, reseedRandom, warmRuntime } from '@cordon/app-sentry/warm';
import { afterAll, describe, expect, it } from 'vitest';

describe('the seeded Math.random', () => {
  const original = Math.random;
  afterAll(() => {
    Math.random = original;
  });

  it('is uniform in [0, 1) and starts anew when reseeded', () => {
    installSeededRandom();
    const draws = Array.from({ length: 20_000 }, () => Math.random());
    expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
    const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
    const buckets = new Array<number>(16).fill(0);
    for (const draw of draws) buckets[Math.floor(draw * 16)]++;
    expect(Math.min(...buckets)).toBeGreaterThan(1_000);
    reseedRandom();
    expect(Math.random()).not.toBe(draws[0]);
  });

  it('warms what it says without failing', () => {
    expect(() => warmRuntime()).not.toThrow();
  });
});
