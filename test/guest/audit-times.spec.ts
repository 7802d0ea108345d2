import { accessSync, constants } from 'node:fs';
import type { PlatformChoice } from '@cordon/pool/types';
import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

/** A call as the guest's own clock saw it: between `before` and `after`, in nanoseconds. */
interface Seen {
  readonly name: string;
  readonly before: number;
  readonly after: number;
}

/** How far two readings of the same clock may be apart that were made by different code: the guest's vdso and the Sentry's. */
const READINGS_NS = 2_000;

const hasKvm = (() => {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
})();

async function timedCalls(): Promise<{ seen: Seen[]; records: { name: string; start: number; end: number }[] }> {
  const { exitCode, stdout, audit } = await runGuest({
    argv: ['./program'],
    files: { program: compile('timed-calls.c') },
    auditLevel: 'full',
  });
  expect(exitCode).toBe(0);
  const [tid, ...lines] = stdout.trim().split('\n');
  const seen = lines.map((line) => {
    const [name, before, after] = line.split(' ');
    return { name, before: Number(before), after: Number(after) };
  });
  const names = new Set(seen.map(({ name }) => name));
  const own = audit.filter((record) => record.tid === Number(tid));
  const records = own
    .slice(own.findIndex(({ name }) => name === 'getppid'))
    .filter(({ name }) => names.has(name))
    .slice(0, seen.length)
    .map(({ name, start, duration }) => ({ name, start, end: start + duration }));
  return { seen, records };
}

const platforms: PlatformChoice[] = hasKvm ? ['systrap', 'kvm', 'ptrace'] : ['systrap', 'ptrace'];

describe.each(platforms)('what the audit log says of times, on %s', (platform) => {
  useGuests(platform);

  it('lies within what the guest saw of each call: one that returns at once, sleeps, waits for a thread, for a child', async () => {
    const { seen, records } = await timedCalls();
    expect(records.map(({ name }) => name)).toEqual(seen.map(({ name }) => name));
    for (const { start, end } of records) expect(end).toBeGreaterThan(start);
    // Where the run began by the guest's clock is not known: after each record's place in its call's earliest, before its latest.
    const earliest = Math.max(...seen.map(({ before }, index) => before - records[index].start));
    const latest = Math.min(...seen.map(({ after }, index) => after - records[index].end));
    expect(earliest - latest).toBeLessThan(READINGS_NS);
  });
});
