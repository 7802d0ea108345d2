import type { ExecutionStore } from '@cordon/queue';
import { describe, expect, it } from 'vitest';
import { EventRelay } from './event-relay.js';

/** A relay whose first write to the store does not come back before it is told so: what comes then gathers. */
function relay() {
  const told: { type: string; data: unknown }[] = [];
  let release = (): void => undefined;
  const append = async (_id: string, _attempt: number, events: { type: string; data: unknown }[]): Promise<boolean> => {
    told.push(...events);
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return true;
  };
  const made = new EventRelay({ append } as unknown as ExecutionStore, 'exe_1', 1, () => '');
  const texts = (): string[] => told.map(({ type, data }) => `${type} ${(data as { data: string }).data}`);
  const finish = async (): Promise<string[]> => {
    release();
    const rest = await made.finish();
    told.push(...rest);
    return texts();
  };
  return { made, finish };
}
const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('news of a run', () => {
  it('has both outputs in the order in which they were written', async () => {
    const { made, finish } = relay();
    for (const [index, stream] of (['stdout', 'stderr', 'stderr', 'stdout', 'stderr'] as const).entries())
      made.output(stream, bytes(`${index}`));
    expect(await finish()).toEqual(['stdout 0', 'stderr 12', 'stdout 3', 'stderr 4']);
    expect(made.stdout.whole().data).toBe('03');
  });

  it('keeps a character whole that is written in two parts, with the other output between them', async () => {
    const { made, finish } = relay();
    const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)];
    made.output('stdout', first);
    made.output('stderr', bytes('x'));
    made.output('stdout', second);
    expect(await finish()).toEqual(['stderr x', 'stdout é']);
  });

  it('tells the start of a character that never ends', async () => {
    const { made, finish } = relay();
    made.output('stdout', Buffer.from([0x61, 0xc3]));
    expect(await finish()).toEqual(['stdout a', 'stdout ww==']);
  });

  it('is bounded, and complete, for a program that goes to and fro without end', async () => {
    const { made, finish } = relay();
    for (let index = 0; index < 100_000; index++) made.output(index % 2 === 0 ? 'stdout' : 'stderr', bytes('x'));
    const told = await finish();
    expect(told.length).toBeLessThan(2_100);
    const of = (stream: string): number =>
      told.filter((text) => text.startsWith(stream)).reduce((sum, text) => sum + text.length - stream.length - 1, 0);
    expect([of('stdout'), of('stderr')]).toEqual([50_000, 50_000]);
  });
});
