import type { SubmissionDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';

/** One worker as it comes: a guest for each core. */
const cordon = useDeployment({ workers: 1, concurrency: null });
const ROUNDS = 15;
const SOURCE = `#include <stdio.h>
int main(void) {
  unsigned x = 1, sum = 0;
  for (int i = 0; i < 300000000; i++) { x ^= x << 13; x ^= x >> 17; x ^= x << 5; sum += x; }
  printf("%u\\n", sum ? 1 : 0);
}`;

async function measure(): Promise<number> {
  const body = { runtime: 'c', source: SOURCE, tests: [{ expected: '1' }] };
  const response = await cordon.postTo('/v1/submissions?wait=60', body);
  const { verdict, tests } = response.body as SubmissionDto;
  expect(verdict, response.text).toBe('AC');
  return tests[0].cpuMs;
}

const COMPUTE = ['/bin/sh', '-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'];
/** Goes through more memory than caches hold. */
const SWEEP = ['/usr/bin/python3', '-c', 'b = bytearray(96 << 20)\nfor i in range(40): b[::64] = b[::64]'];

async function neighbour(command: readonly string[]): Promise<string> {
  const { body } = await cordon.post({ command });
  return (body as { id: string }).id;
}

const median = (list: number[]): number => list.sort((one, other) => one - other)[Math.floor(list.length / 2)];

describe('processor time of a submission', () => {
  it('is within 5 % the same on an idle and on a busy worker', async () => {
    await measure();
    const idle: number[] = [];
    const busy: number[] = [];
    // In turns, so that what else the machine does hits both alike.
    for (let round = 0; round < ROUNDS; round++) {
      idle.push(await measure());
      const before = await Promise.all([neighbour(COMPUTE), neighbour(SWEEP)]);
      const measured = measure();
      // Behind it in the queue: the other places stay taken until it has ended.
      const behind = await Promise.all([neighbour(SWEEP), neighbour(COMPUTE), neighbour(SWEEP)]);
      busy.push(await measured);
      await Promise.all([...before, ...behind].map((id) => cordon.get(`/v1/executions/${id}?wait=60`)));
    }
    const difference = Math.abs(median(busy) / median(idle) - 1);
    console.log(
      `idle ${median(idle).toFixed(1)} ms (${Math.min(...idle).toFixed(1)}..${Math.max(...idle).toFixed(1)}), ` +
        `busy ${median(busy).toFixed(1)} ms (${Math.min(...busy).toFixed(1)}..${Math.max(...busy).toFixed(1)}), ` +
        `${(difference * 100).toFixed(2)} % apart`,
    );
    expect(difference).toBeLessThan(0.05);
  });
});
