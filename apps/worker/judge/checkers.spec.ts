import { compare, compareBytes } from '@cordon/app-worker/judge/checkers';
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
    ['float', '3', '0b11', 'WA'],
    ['float', '8', '0o10', 'WA'],
    ['float', '16', '0x10', 'WA'],
    ['float', '0.5', '+.5e0', 'AC'],
    ['float', '5', '5.', 'AC'],
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

  it('takes time by the length of an output, whatever is in it', () => {
    // By the square, each of these would be hours.
    const long = 4 << 20;
    expect(check('lines', 'x', `${' '.repeat(long)}x`).verdict).toBe('PE');
    expect(check('unordered-lines', 'x', `x${' \t\r'.repeat(long / 3)}`).verdict).toBe('AC');
    expect(check('float', '1', `${'1'.repeat(long)}x`).verdict).toBe('WA');
  });

  it('tells bytes that are no text from one another', () => {
    const bytes = (kind: Parameters<typeof compare>[0]['kind'], expected: number[], actual: number[]) =>
      compareBytes({ kind, absolute: 0, relative: 0 }, Buffer.from(expected), Buffer.from(actual));
    expect(bytes('exact', [0xff, 10], [0xff, 10]).verdict).toBe('AC');
    expect(bytes('exact', [0xff, 10], [0xfe, 10]).verdict).toBe('WA');
    expect(bytes('tokens', [0xef, 0xbf, 0xbd], [0xff]).verdict).toBe('WA');
    // The second byte of à is no white space.
    expect(bytes('tokens', [0xff, 32, 0xc3, 0xa0], [0xff, 32, 0xc3]).verdict).toBe('WA');
    expect(bytes('tokens', [0xc3, 0xa0, 32, 0x61], [0xc3, 0xa0, 32, 0xff]).difference).toEqual({
      line: 1,
      expected: 'a',
      actual: '\ufffd',
    });
    expect(bytes('tokens', [0xc3, 0xa0], [0xff]).difference?.expected).toBe('à');
  });
});
