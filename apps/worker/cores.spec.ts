import { describe, expect, it } from 'vitest';
import { Cores } from './cores.js';

const never = new AbortController().signal;
const settled = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('cores', () => {
  it('admit as many as there are, slots of the queue before further tests', async () => {
    const cores = new Cores(2);
    const order: string[] = [];
    const first = await cores.enter();
    const second = await cores.enter();
    void cores.enterExtra(never).then(() => order.push('extra'));
    void cores.enter().then(() => order.push('slot'));
    await settled();
    expect(order).toEqual([]);
    first();
    // Only once, however often it is said.
    first();
    await settled();
    expect(order).toEqual(['slot']);
    second();
    await settled();
    expect(order).toEqual(['slot', 'extra']);
  });

  it('let go of who does not want to wait any more', async () => {
    const cores = new Cores(1);
    const leave = await cores.enter();
    const gone = new AbortController();
    const waiting = cores.enterExtra(gone.signal);
    gone.abort();
    expect(await waiting).toBeNull();
    expect(await cores.enterExtra(gone.signal)).toBeNull();
    leave();
    // The one that went away took nothing with it.
    expect(await cores.enter()).toBeTypeOf('function');
  });
});
