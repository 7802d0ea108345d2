import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileTree } from '@cordon/sentry/boot/file-tree';
import { Frames } from '@cordon/sentry/mm/frames';
import { HostMemoryFile } from '@cordon/sentry/platform/memory-file';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const frames = new Frames(new HostMemoryFile());
let source: string;

beforeAll(() => {
  source = mkdtempSync(join(tmpdir(), 'cordon-tree-'));
  mkdirSync(join(source, 'listed'));
  mkdirSync(join(source, 'asked'));
  for (const name of ['listed/a', 'listed/b', 'asked/a', 'asked/b']) writeFileSync(join(source, name), '');
});
afterAll(() => rmSync(source, { recursive: true, force: true }));

function tree(): FileTree {
  const made = new FileTree(frames);
  made.addImage({ name: 'test', mounts: [{ path: '/image', source }], links: [], files: [] });
  return made;
}

const found = (of: FileTree, path: string): boolean => {
  let inode = of.fileSystem.root;
  for (const name of path.split('/').slice(1)) {
    const next = inode.lookup(name);
    if (typeof next === 'number') return false;
    inode = next;
  }
  return true;
};

describe('what one tree of an image was asked for', () => {
  it('another knows without asking the host', () => {
    const first = tree();
    first.directory('/image/listed', 0).empty();
    expect(found(first, '/image/asked/a')).toBe(true);
    expect(found(first, '/image/asked/none')).toBe(false);

    const second = tree();
    second.recall(first.known());
    // From here on whoever asks the host learns something else.
    for (const name of ['listed/a', 'listed/b', 'asked/a', 'asked/b']) rmSync(join(source, name));
    writeFileSync(join(source, 'asked/none'), '');
    writeFileSync(join(source, 'listed/new'), '');
    const names = ['listed/a', 'listed/b', 'listed/new', 'asked/a', 'asked/b', 'asked/none'];
    expect(names.filter((name) => found(second, `/image/${name}`))).toEqual(['listed/a', 'listed/b', 'asked/a']);
    expect(names.filter((name) => found(tree(), `/image/${name}`))).toEqual(['listed/new', 'asked/none']);
  });

  it('is left out where the image has changed', () => {
    const first = tree();
    expect(found(first, '/image/asked/none')).toBe(true);
    const names = first.known();
    rmSync(join(source, 'asked'), { recursive: true });
    const second = tree();
    second.recall(names);
    expect(found(second, '/image/asked')).toBe(false);
  });
});
