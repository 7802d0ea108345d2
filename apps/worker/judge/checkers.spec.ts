import { compare } from '@cordon/app-worker/judge/checkers';
import { describe, expect, it } from 'vitest';

const check = (kind: Parameters<typeof compare>[0]['kind'], expected: string, actual: string, tolerance = 1e-6) =>
  compare({ kind, absolute: tolerance, relative: tolerance }, expected, actual);

describe('checkers', () => {
  it.each([
    ['tokens', '1 2\n3\n', '1\n2   3', 'AC'],
    ['tokens', '1 2', '1 3', 'WA'],
    ['tokens', '1 2', '1', 'WA'],
    ['tokens', '1', '1 2', 'WA'],
    ['tokens', '', ' \n', 'AC'],
    ['exact', 'a\n', 'a\n', 'AC'],
    ['exact', 'a\n', 'a', 'PE'],
    ['exact', 'a\n', 'b\n', 'WA'],
    ['lines', 'a b\nc\n', 'a b  \r\nc\n\n', 'AC'],
    ['lines', 'a b\n', 'a  b\n', 'PE'],
    ['lines', 'a\nb\n', 'a\nc\n', 'WA'],
    ['float', '3.1415926', '3.1415927', 'AC'],
    ['float', '1e9 x', '1000000100 x', 'AC'],
    ['float', '1', '1.1', 'WA'],
    ['float', 'nan', 'nan', 'AC'],
    ['float', '0', 'inf', 'WA'],
    ['unordered-lines', 'a\nb\nb\n', 'b\na\nb', 'AC'],
    ['unordered-lines', 'a\nb\n', 'a\na\n', 'WA'],
  ] as const)('%s: %j against %j is %s', (kind, expected, actual, verdict) => {
    expect(check(kind, expected, actual).verdict).toBe(verdict);
  });

  it('says where, and not more than it must', () => {
    expect(check('tokens', '1\n2\n3', '1\n2\n4').difference).toEqual({ line: 3, expected: '3', actual: '4' });
    expect(check('lines', 'a\nb', 'a').difference).toEqual({ line: 2, expected: 'b', actual: '(end)' });
    expect(check('tokens', 'x'.repeat(5000), 'y').difference?.expected.length).toBeLessThan(110);
  });
});
