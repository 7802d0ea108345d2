import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type GuestOutcome, type Program, runBoth, visible } from '../guest/harness.js';

const LIMITS = { wallTimeMs: 240_000, cpuTimeMs: 240_000, memoryBytes: 2 * 1024 ** 3, processes: 512 };

export const program = (name: string): Buffer => readFileSync(new URL(`programs/${name}`, import.meta.url));

/**
 * One program that must do in a Sentry what it does natively, to the byte. Skipped where a path it needs is absent
 * (`test/runtimes/packages.ts` installs them): the title says which.
 */
export function sameAsNative(
  title: string,
  needs: readonly string[],
  what: Program,
  more?: (guest: GuestOutcome) => void,
): void {
  const missing = needs.filter((path) => !existsSync(path));
  const name = missing.length === 0 ? title : `${title} (skipped: no ${missing.join(', ')})`;
  it.skipIf(missing.length > 0)(name, async () => {
    const { native, guest } = await runBoth({ ...what, limits: { ...LIMITS, ...what.limits } });
    expect({ exitCode: native.exitCode, stderr: native.stderr.slice(0, 2000) }).toMatchObject({ exitCode: 0 });
    expect(visible(guest)).toEqual(visible(native));
    expect(native.stdout.length).toBeGreaterThan(0);
    more?.(guest);
  });
}

/** A shell script beside this file. */
export function script(name: string, needs: readonly string[], more?: (guest: GuestOutcome) => void): void {
  sameAsNative(name, needs, { argv: ['/bin/bash', name], files: { [name]: program(name) } }, more);
}

/** A Python program beside this file. */
export function python(name: string, needs: readonly string[] = []): void {
  sameAsNative(name, ['/usr/bin/python3', ...needs], {
    argv: ['/usr/bin/python3', name],
    files: { [name]: program(name) },
  });
}
