import { SYS } from '@cordon/sentry/abi/syscall-numbers';
import { compileFilter, evaluateFilter, type SyscallRule } from '@cordon/sentry/platform/seccomp-program';
import { describe, expect, it } from 'vitest';

const rules: SyscallRule[] = [
  { name: 'getpid', why: 'anything goes' },
  { name: 'write', arguments: [{ index: 0, oneOf: [2, 3, 17] }], why: 'these only' },
  {
    name: 'mmap',
    arguments: [
      { index: 2, within: 3 },
      { index: 4, oneOf: [-1, 9] },
    ],
    why: 'two conditions',
  },
  { name: 'write', arguments: [{ index: 2, within: 0xff }], why: 'an alternative' },
];

describe('a compiled filter', () => {
  const program = compileFilter(rules);
  const answer = (name: keyof typeof SYS, ...args: number[]) => evaluateFilter(program, SYS[name], args);

  it('kills what is not listed, whatever the arguments', () => {
    const listed = new Set(rules.map(({ name }) => SYS[name] as number));
    for (let number = 0; number < 600; number++) {
      if (!listed.has(number)) expect(evaluateFilter(program, number, [2, 0, 0, 0, 9, 0]), String(number)).toBe('kill');
    }
    expect(evaluateFilter(program, -1, [])).toBe('kill');
  });

  it('kills 32-bit and x32 calls', () => {
    expect(evaluateFilter(program, SYS.getpid, [], 0x40000003)).toBe('kill');
    expect(evaluateFilter(program, 0x40000000 | SYS.getpid, [])).toBe('kill');
  });

  it('compares descriptors as ints', () => {
    expect(answer('write', 3, 0, 0x1000)).toBe('allow');
    expect(answer('write', 2 ** 32 + 3, 0, 0x1000)).toBe('allow'); // the kernel looks at 32 bits, too
    expect(answer('write', 4, 0, 0x1000)).toBe('kill');
    expect(answer('write', 17, 0, 0x1000)).toBe('allow');
  });

  it('tries alternatives', () => {
    expect(answer('write', 4, 0, 0xff)).toBe('allow');
    expect(answer('write', 4, 0, 2 ** 32)).toBe('kill');
  });

  it('wants all conditions of a rule', () => {
    expect(answer('mmap', 0, 0, 3, 0, -1)).toBe('allow');
    expect(answer('mmap', 0, 0, 3, 0, 9)).toBe('allow');
    expect(answer('mmap', 0, 0, 4, 0, -1)).toBe('kill');
    expect(answer('mmap', 0, 0, 2 ** 40, 0, -1)).toBe('kill');
    expect(answer('mmap', 0, 0, 1, 0, 8)).toBe('kill');
  });
});
