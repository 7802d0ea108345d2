import type { ProblemError } from '@cordon/contracts';
import { expect, it } from 'vitest';
import { pairTests } from './pair-tests.js';

it.each(['constructor', '__proto__', 'toString'])('a folder called %s is one as any other', (folder) => {
  const errors: ProblemError[] = [];
  const paths = [`${folder}/1.in`, `${folder}/1.out`, 'other/1.in', 'other/1.out'];
  expect(pairTests(paths, true, errors).map(({ name }) => name)).toEqual([`${folder}/1`, 'other/1'].sort());
  expect(errors).toEqual([]);
});

it.each(['constructor', '__proto__'])('a file that ends in .%s is no test', (ending) => {
  const errors: ProblemError[] = [];
  pairTests(['1.in', '1.out', `1.${ending}`], true, errors);
  expect(errors).toMatchObject([{ pointer: `/1.${ending}` }]);
});
