/** The guest that zygotes rehearse with (native/rehearsal.c) goes everywhere it is meant to, and leaves nothing. */
import { readFileSync } from 'node:fs';
import { rehearsalPath } from '@cordon/sentry/platform/native/index';
import { expect, it } from 'vitest';
import { runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

const files = { rehearsal: readFileSync(rehearsalPath()) };
/** The calls it names, as in its source. */
const source = readFileSync(new URL('../../libs/sentry/platform/native/rehearsal.c', import.meta.url), 'latin1');
const named = /enum \{([^}]*)\}/.exec(source)?.[1].match(/[A-Z][A-Z0-9_]*/g) ?? [];

/** Names in the source that are short for the kernel's. */
const FULL: Readonly<Record<string, string>> = {
  sigaction: 'rt_sigaction',
  sigprocmask: 'rt_sigprocmask',
  pread: 'pread64',
  pwrite: 'pwrite64',
  getdents: 'getdents64',
  prlimit: 'prlimit64',
  eventfd: 'eventfd2',
  epoll_create: 'epoll_create1',
  yield: 'sched_yield',
};

it('ends by itself and removes what it has made, here as natively', async () => {
  const { native, guest } = await runBoth({
    argv: ['/bin/sh', '-c', './rehearsal; echo $?; ls -A /tmp | grep rehearsed'],
    files,
  });
  expect(native.stdout).toBe('0\n');
  expect(visible(guest)).toEqual(visible(native));
});

it('makes every call that it names, successfully at least once', async () => {
  const { audit, report } = await runGuest({ argv: ['./rehearsal'], files, auditLevel: 'full', network: 'loopback' });
  expect(report).toMatchObject({ reason: 'exited', exitCode: 0, auditTruncated: false });
  expect(named.length).toBeGreaterThan(80);
  const succeeded = new Set(audit.filter(({ result }) => result === null || result >= 0).map(({ name }) => name));
  const missing = named
    .map((name) => FULL[name.toLowerCase()] ?? name.toLowerCase())
    .filter((name) => !succeeded.has(name));
  // No attributes in the sandbox: ls(1) asks for them nonetheless.
  expect(missing).toEqual(['lgetxattr']);
});
