import { describe, expect, it } from 'vitest';
import { Rehearsals } from './rehearsals.js';

describe('rehearsals', () => {
  it('are left out after a failure, and due again after pauses that double', () => {
    const rehearsals = new Rehearsals(3, 1000);
    expect(rehearsals.next(0, false)).toBe(3);
    rehearsals.failed(3, 0);
    expect([rehearsals.next(999, true), rehearsals.due(0, 999)]).toEqual([0, false]);
    expect([rehearsals.next(1000, true), rehearsals.due(0, 1000)]).toEqual([3, true]);
    rehearsals.failed(3, 1000);
    expect([rehearsals.due(0, 2999), rehearsals.due(0, 3000)]).toEqual([false, true]);
    rehearsals.succeeded(3);
    expect(rehearsals.due(3, 3000)).toBe(false);
    rehearsals.failed(3, 4000);
    expect([rehearsals.next(4999, true), rehearsals.next(5000, true), rehearsals.next(5000, false)]).toEqual([0, 3, 0]);
  });

  it('are not to blame for a zygote that did none', () => {
    const rehearsals = new Rehearsals(3, 1000);
    rehearsals.failed(0, 0);
    expect(rehearsals.next(0, false)).toBe(3);
  });

  it('never come due where none are wanted', () => {
    expect(new Rehearsals(0).due(0, 1e12)).toBe(false);
  });
});
