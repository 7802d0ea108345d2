import type { SessionHandle } from '@cordon/pool';
import { describe, expect, it } from 'vitest';
import { collectArtifacts } from './artifacts.js';

interface Entry {
  name: string;
  type: string;
  size: number;
  mode: number;
}
const file = (name: string, size = 3): Entry => ({ name, type: 'file', size, mode: 0o755 });
const directory = (name: string): Entry => ({ name, type: 'directory', size: 0, mode: 0o755 });

/** A session that answers `list` as told and every `read` with as many bytes as are asked for, or more. */
function session(list: (path: string, offset: number) => { entries: Entry[]; next?: number | null }, extra = 0) {
  let asked = 0;
  const ask = async (request: { op: string; path: string; offset: number; length: number }) => {
    if (++asked > 5000) throw new Error('asked without end');
    if (request.op === 'list') return { reply: list(request.path, request.offset), bytes: new Uint8Array(0) };
    return { reply: {}, bytes: new Uint8Array(request.length + extra).fill(120) };
  };
  return { ask } as unknown as Pick<SessionHandle, 'ask'>;
}

describe('what a compiler left', () => {
  it('is all regular files, with their paths and modes, over several answers', async () => {
    const lists: Record<string, Entry[][]> = {
      '/work': [[file('a.out'), directory('lib')], [file('b')]],
      '/work/lib': [[{ ...file('link'), type: 'symlink' }, file('c.so', 5)]],
    };
    const found = await collectArtifacts(
      session((path, offset) => ({
        entries: lists[path][offset],
        next: offset + 1 < lists[path].length ? offset + 1 : null,
      })),
    );
    expect(found.map(({ path, mode, content }) => [path, mode, content.length])).toEqual([
      ['/work/a.out', 0o755, 3],
      ['/work/b', 0o755, 3],
      ['/work/lib/c.so', 0o755, 5],
    ]);
  });

  it('never is more of a file than it was said to be', async () => {
    const [found] = await collectArtifacts(session(() => ({ entries: [file('a')] }), 100));
    expect(found.content.length).toBe(3);
  });

  it.each([
    ['a directory in itself for ever', session(() => ({ entries: [directory('again')] }))],
    [
      'more entries than there may be',
      session(() => ({ entries: Array.from({ length: 2000 }, (_, i) => file(`f${i}`)) })),
    ],
    ['a list that starts over', session(() => ({ entries: [file('a')], next: 0 }))],
    ['empty answers without end', session((_path, offset) => ({ entries: [], next: offset + 1 }))],
    ['a file that is too big', session(() => ({ entries: [file('big', 1 << 30)] }))],
    ['names with a slash', session(() => ({ entries: [file('../../etc/passwd')] }))],
    ['the name of the parent', session(() => ({ entries: [file('..')] }))],
  ])('%s: is refused', async (_what, one) => {
    await expect(collectArtifacts(one)).rejects.toThrow(RangeError);
  });
});
