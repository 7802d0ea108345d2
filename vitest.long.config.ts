import { defineConfig } from 'vitest/config';

/** Suites that take minutes: soak runs of the pool, fuzzing. Not part of `npm test`. */
export default defineConfig({
  test: {
    include: ['libs/**/*.long.spec.ts', 'apps/**/*.long.spec.ts', 'test/**/*.long.spec.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
});
