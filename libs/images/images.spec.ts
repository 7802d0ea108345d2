import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { discoverRuntimes, findProgram, findRuntime, hostImage, RUNTIMES, runtimeCommand } from '@cordon/images';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('the host image', () => {
  const image = hostImage();

  it('has the programs and nothing of /etc that speaks of this machine', () => {
    const paths = image.mounts.map(({ path }) => path);
    expect(paths).toContain('/usr');
    for (const secret of [
      '/etc',
      '/etc/shadow',
      '/etc/ssh',
      '/etc/ssl/private',
      '/etc/ssl',
      '/etc/passwd',
      '/root',
      '/home',
      '/var',
      '/proc',
    ]) {
      expect(paths, secret).not.toContain(secret);
    }
    // Nothing is mounted from elsewhere, and each synthetic file is no mount at the same time.
    for (const { path, source } of image.mounts) expect(source).toBe(path);
    for (const { path } of image.files) expect(paths).not.toContain(path);
  });

  it('names accounts of its own', () => {
    const passwd = image.files.find(({ path }) => path === '/etc/passwd');
    expect(passwd?.content).toMatch(/^root:x:0:0:/m);
    expect(image.files.every(({ content }) => !content.includes('\0'))).toBe(true);
  });

  it('keeps links of the root as links', () => {
    const names = new Set([...image.links.map(({ path }) => path), ...image.mounts.map(({ path }) => path)]);
    expect(names).toContain('/bin');
    expect(names).toContain('/lib64');
  });
});

describe('the catalogue', () => {
  it('has unique names', () => {
    const names = RUNTIMES.flatMap(({ id, aliases }) => [id, ...aliases]);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toBe(name.toLowerCase());
  });

  it('says for each row which packages bring it', () => {
    for (const { id, packages, run, fileName } of RUNTIMES) {
      expect(packages, id).not.toEqual([]);
      expect(run.length, id).toBeGreaterThan(0);
      expect(fileName, id).toMatch(/^[mM]ain\.\w+$/);
    }
  });

  it('finds runtimes by id and alias, whatever the case', () => {
    expect(findRuntime('Python3')?.id).toBe('python');
    expect(findRuntime('c++')?.id).toBe('cpp');
    expect(findRuntime('brainfuck')).toBeUndefined();
    expect(findRuntime('__proto__')).toBeUndefined();
  });

  it('passes arguments untouched, through the shell of a compiled language too', () => {
    const hostile = `'; rm -rf / #`;
    expect(runtimeCommand(findRuntime('python')!, [hostile])).toEqual(['python3', 'main.py', hostile]);
    const command = runtimeCommand(findRuntime('c')!, [hostile]);
    expect(command.slice(0, 2)).toEqual(['/bin/sh', '-c']);
    expect(command[2]).not.toContain(hostile);
    expect(command.at(-1)).toBe(hostile);
  });
});

describe('discovery', () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'cordon-image-'));
    mkdirSync(join(root, 'usr/bin'), { recursive: true });
    const program = (name: string, text: string, mode = 0o755) =>
      writeFileSync(join(root, 'usr/bin', name), text, { mode });
    program('python3', '#!/bin/sh\necho Python 3.99.1\n');
    program('perl', '#!/bin/sh\nexit 1\n');
    // A Node that does not strip types yet, and a C compiler without Objective-C.
    program('node', '#!/bin/sh\necho v22.9.0\n');
    program('gcc', '#!/bin/sh\ncase $1 in -dumpfullversion) echo 99.1.0;; *) echo cc1obj;; esac\n');
    program('lua', 'not executable', 0o644);
    symlinkSync('/bin/sh', join(root, 'usr/bin/bash'));
    symlinkSync('/nowhere', join(root, 'usr/bin/ruby'));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  const image = () => ({
    name: 'made-up',
    mounts: [{ path: '/usr', source: join(root, 'usr') }],
    files: [],
    links: [{ path: '/bin', target: 'usr/bin' }],
  });

  it('offers what is there and answers, with its version', async () => {
    const found = await discoverRuntimes(image());
    expect(found.map(({ id, version, path }) => ({ id, version, path }))).toEqual([
      { id: 'python', version: '3.99.1', path: '/usr/bin/python3' },
      { id: 'node', version: '22.9.0', path: '/usr/bin/node' },
      ...['c', 'c90', 'c99', 'c11', 'c23'].map((id) => ({ id, version: '99.1.0', path: '/usr/bin/gcc' })),
    ]);
  });

  it('does not offer what a program is too old for', async () => {
    writeFileSync(join(root, 'usr/bin/node'), '#!/bin/sh\necho v22.18.0\n', { mode: 0o755 });
    const ids = (await discoverRuntimes(image())).map(({ id }) => id);
    expect(ids).toContain('typescript-node');
    expect(ids).not.toContain('objective-c');
  });

  it('does not follow links out of the image', () => {
    expect(findProgram(image(), 'bash')).toBeNull();
    expect(findProgram(image(), 'ruby')).toBeNull();
    expect(findProgram(image(), 'lua')).toBeNull();
  });
});
