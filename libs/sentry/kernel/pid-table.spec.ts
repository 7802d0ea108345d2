import { PidTable } from '@cordon/sentry/kernel/pid-table';
import { describe, expect, it } from 'vitest';

describe('PidTable', () => {
  it('starts at 1, ascends, wraps to 300 and skips what is taken', () => {
    const taken = new Set<number>([2, 301]);
    const table = new PidTable((id) => taken.has(id));
    expect([table.allocate(), table.allocate()]).toEqual([1, 3]);
    let last = 3;
    while (last < 32767) last = table.allocate();
    expect([table.allocate(), table.allocate()]).toEqual([300, 302]);
  });

  it('answers 0 when every id is taken', () => {
    expect(new PidTable(() => true).allocate()).toBe(0);
  });
});
