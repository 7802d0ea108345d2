import { expect, it } from 'vitest';
import { fitsGlob } from './glob.js';

it.each([
  ['a.txt', '*.txt', true],
  ['a.txt.gz', '*.txt', false],
  ['', '**', true],
  ['', '?', false],
  ['abcabc', 'a*c', true],
  ['abcab', 'a*c', false],
  ['file7', 'file[0-9]', true],
  ['file7', 'file[!0-9]', false],
  ['a-b', 'a[-x]b', true],
  ['[', '[', true],
  ['😀', '?', true],
  ['a.b', 'a?b', true],
  ['axb', 'a.b', false],
])('%j fits %j: %s', (name, pattern, fits) => {
  expect(fitsGlob(name, pattern)).toBe(fits);
});

it('answers soon, whatever the pattern', () => {
  const started = performance.now();
  expect(fitsGlob('a'.repeat(255), `${'*a'.repeat(120)}*b`)).toBe(false);
  expect(performance.now() - started).toBeLessThan(100);
});
