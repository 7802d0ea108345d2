import { readFileSync } from 'node:fs';
import type { Pool } from '@cordon/pool/pool';
import { describe, expect, it } from 'vitest';
import { processTree } from '../../libs/pool/test/helpers.js';
import { guestPool, specOf, useGuests } from './harness.js';

useGuests();

interface Mapping {
  readonly pid: number;
  /** Device and inode of the host's file. */
  readonly file: string;
  readonly residentKb: number;
  readonly anonymousKb: number;
}

/** Code of the C library in stubs below `root`, as the host maps it: shared, which no program of the host does by itself. */
function libraryCode(root: number): Mapping[] {
  return processTree(root).flatMap((pid) => {
    const blocks = readFileSync(`/proc/${pid}/smaps`, 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    return blocks.flatMap((block) => {
      const head = /^\S+ r-xs \S+ (\S+ \d+) +\S*\/libc\.so\.6\n/.exec(block);
      const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(block)?.[1]);
      return head ? [{ pid, file: head[1], residentKb: kilobytes('Rss'), anonymousKb: kilobytes('Anonymous') }] : [];
    });
  });
}

describe('files of the image', () => {
  it('are mapped straight from the host’s page cache, one copy for all sandboxes', async ({ skip }) => {
    const pool = guestPool();
    // KVM guests have a memory of their own: there the pages are copied into frames.
    if (pool.stats().platform === 'kvm') skip();
    const handles = [1, 2].map(() => {
      let spoke = (): void => undefined;
      const speaks = new Promise<void>((resolve) => {
        spoke = resolve;
      });
      const program = specOf({ argv: ['/bin/sh', '-c', 'echo here; read line'] });
      return { run: pool.run(program, { stdout: () => spoke() }), speaks };
    });
    await Promise.all(handles.map(({ run, speaks }) => Promise.race([speaks, run.ended])));
    const guests = (pool as Pool)
      .zygotePids()
      .flatMap(libraryCode)
      .filter(({ residentKb }) => residentKb > 0);
    for (const { run } of handles) run.cancel();
    await Promise.all(handles.map(({ run }) => run.ended));
    expect(new Set(guests.map(({ pid }) => pid)).size).toBeGreaterThanOrEqual(2);
    expect(new Set(guests.map(({ file }) => file)).size).toBe(1);
    for (const { anonymousKb } of guests) expect(anonymousKb).toBe(0);
  });
});
