import { describe, expect, it } from 'vitest';
import { checkedMarks, checkedProfile } from './checked-profile.js';

describe('what a Sentry tells of its time', () => {
  it('is taken field by field: numbers are numbers, names are short, rows are bounded', () => {
    const profile = checkedProfile({
      guest: -1,
      waiting: 'long',
      sentry: 5,
      faults: { count: 2, time: Number.NaN, extra: 1 },
      calls: [{ name: 'read', count: 1, time: 2 }, { name: 7 }, null],
      hostCalls: Array.from({ length: 5000 }, () => ({ name: 'x'.repeat(500), count: 1, time: 1 })),
      more: 'of this',
    });
    expect(profile).toMatchObject({ guest: 0, waiting: 0, sentry: 5, clock: 0, faults: { count: 2, time: 0 } });
    expect(profile.calls).toEqual([
      { name: 'read', count: 1, time: 2 },
      { name: 'unknown', count: 0, time: 0 },
      { name: 'unknown', count: 0, time: 0 },
    ]);
    expect(profile.hostCalls).toHaveLength(1024);
    expect(profile.hostCalls[0].name).toHaveLength(64);
    expect(profile).not.toHaveProperty('more');
  });

  it('keeps "it did not happen" apart from "at zero"', () => {
    expect(checkedMarks({ loaded: null, firstOutput: null, ended: 7 })).toMatchObject({
      loaded: null,
      firstOutput: null,
      ended: 7,
    });
    expect(checkedMarks(null)).toMatchObject({ loaded: 0, firstOutput: 0 });
  });
});
