/** Minutes, not seconds: `npx vitest run --config vitest.long.config.ts`. */
import { describe, expect, it } from 'vitest';
import { run, standInPool } from './test/helpers.js';

describe('a pool, for long', () => {
  it('gives twenty long children the right answer', { timeout: 300_000 }, async () => {
    const pool = await standInPool();
    try {
      const answers = new Set<string>();
      for (let round = 0; round < 10; round++) {
        const pair = await Promise.all([run(pool, ['work', '1500']), run(pool, ['work', '1500'])]);
        for (const { report, stdout } of pair) answers.add(`${report.reason} ${report.detail} ${stdout}`);
      }
      expect(answers.size).toBe(1);
      expect([...answers][0]).toMatch(/^exited null \d+$/);
    } finally {
      await pool.close();
    }
  });

  it('lets a child run for more than half a minute', { timeout: 300_000 }, async () => {
    const pool = await standInPool();
    try {
      const { report } = await run(pool, ['work', '40000'], { wallTimeMs: 120_000 });
      expect(report.reason).toBe('exited');
    } finally {
      await pool.close();
    }
  });

  it('gives two thousand short runs their answers, eight at a time, renewing as it goes', {
    timeout: 300_000,
  }, async () => {
    const pool = await standInPool({ renewAfter: 300 });
    try {
      let left = 2_000;
      const wrong: unknown[] = [];
      const worker = async () => {
        while (left-- > 0) {
          const outcome = await run(pool, ['hello']);
          if (outcome.report.reason !== 'exited' || outcome.stdout !== 'hello\n') wrong.push(outcome);
        }
      };
      await Promise.all(Array.from({ length: 8 }, worker));
      expect(wrong).toEqual([]);
    } finally {
      await pool.close();
    }
  });
});
