import { parseScriptLine } from '@cordon/sentry/kernel/loader/script';
import { describe, expect, it } from 'vitest';

const parse = (text: string): ReturnType<typeof parseScriptLine> => parseScriptLine(Buffer.from(text, 'latin1'));

describe('the #! line', () => {
  it.each([
    ['#!/bin/sh\n', '/bin/sh', null],
    ['#! \t/bin/sh \t\nrest', '/bin/sh', null],
    ['#!/usr/bin/env python3 -u\n', '/usr/bin/env', 'python3 -u'],
    ['#!/bin/sh', '/bin/sh', null],
    ['#!/bin/sh -e', '/bin/sh', '-e'],
    [`#!/bin/sh ${'a'.repeat(300)}`, '/bin/sh', 'a'.repeat(245)],
    ['#!interp\0x\n', 'interp', null],
  ])('%j', (text, interpreter, argument) => {
    expect(parse(text)).toEqual({ interpreter, argument });
  });

  it.each([
    ['nothing after it', '#!\n'],
    ['only blanks', '#!  \t \n'],
    ['no #!', '#/bin/sh\n'],
    ['an interpreter that is cut off', `#!/${'x'.repeat(300)}`],
    ['two bytes', '#!'],
    ['nothing', ''],
  ])('is none with %s', (_what, text) => {
    expect(parse(text)).toBeNull();
  });
});
