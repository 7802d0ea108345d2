import { findKind } from '@cordon/sentry/audit/kinds';
import { parseSignature } from '@cordon/sentry/audit/signature';
import { ROWS } from '@cordon/sentry/syscalls/table';
import { describe, expect, it } from 'vitest';

describe('signatures of the system call table', () => {
  it('name only argument kinds that exist', () => {
    const unknown = ROWS.flatMap((row) =>
      parseSignature(row.signature)
        .filter((parameter) => findKind(parameter.base) === undefined)
        .map((parameter) => `${row.name}: ${parameter.name}:${parameter.kind}`),
    );
    expect(unknown).toEqual([]);
  });

  it('have at most six arguments, each with a name and a kind, and length arguments that exist', () => {
    const wrong = ROWS.filter((row) => {
      const parts = row.signature.split(' ').filter((part) => part !== '');
      const names = parts.map((part) => part.split(':')[0]);
      return (
        parts.length > 6 ||
        parts.some((part) => {
          const match = /^[a-z_0-9]+:[a-z0-9-]+(?:\(([a-z_0-9]+)\))?$/.exec(part);
          return !match || (match[1] !== undefined && !names.includes(match[1]));
        })
      );
    });
    expect(wrong.map((row) => `${row.name}: ${row.signature}`)).toEqual([]);
  });

  it('say why a call is partial or refused', () => {
    expect(ROWS.filter((row) => row.support !== 'full' && !row.note).map((row) => row.name)).toEqual([]);
  });
});
