import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runGuest, useGuests } from '../guest/harness.js';
import { install } from './packages.js';
import { program, python, sameAsNative, script } from './runtime.js';

install();
useGuests();

describe('CPython', () => {
  python('asyncio-all.py');
  python('multiprocessing-all.py');
  python('python-library.py');
  python('numpy-all.py', ['/usr/lib/python3/dist-packages/numpy']);
});

describe('Node', () => {
  const node = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => readable(path)) ?? '/usr/bin/node';
  sameAsNative('node-all.mjs', [node], {
    argv: [node, 'node-all.mjs'],
    files: { 'node-all.mjs': program('node-all.mjs') },
  });
  const library = dirname(createRequire(import.meta.url).resolve('typescript'));
  const files = readdirSync(library).filter((name) => /^(lib\..*d\.ts|_?tsc\.js)$/.test(name));
  sameAsNative('npm.sh', [node, '/usr/bin/npm'], {
    argv: ['/bin/bash', 'npm.sh'],
    files: {
      'npm.sh': program('npm.sh'),
      'typescript/package.json': '{"type": "commonjs"}',
      ...Object.fromEntries(files.map((name) => [`typescript/lib/${name}`, readFileSync(join(library, name))])),
    },
  });
});

describe('JVM', () => {
  sameAsNative('Everything.java', ['/usr/bin/java', '/usr/bin/javac'], {
    argv: ['/bin/bash', 'java.sh'],
    files: { 'java.sh': program('java.sh'), 'Everything.java': program('Everything.java') },
  });

  it.runIf(readable('/usr/bin/java'))('agrees with the limits of the sandbox about processors and heap', async () => {
    const source =
      'public class L { public static void main(String[] a) { System.out.println(Runtime.getRuntime().availableProcessors() + " " + (Runtime.getRuntime().maxMemory() >> 20)); } }';
    const { stdout } = await runGuest({
      argv: ['/usr/bin/java', 'L.java'],
      files: { 'L.java': source },
      limits: { memoryBytes: 1 << 30, wallTimeMs: 60_000, cpuTimeMs: 60_000 },
    });
    const [processors, heap] = stdout.trim().split(' ').map(Number);
    expect(processors).toBe(1);
    // A quarter of the memory, by default.
    expect(heap).toBeGreaterThan(200);
    expect(heap).toBeLessThanOrEqual(512);
  });
});

describe('compilers and native languages', () => {
  script('debuggers.sh', ['/usr/bin/gcc', '/usr/bin/strace', '/usr/bin/gdb']);
  script('compilers.sh', ['/usr/bin/gcc', '/usr/bin/g++', '/usr/bin/make', '/usr/bin/ld.gold']);
  script('go.sh', ['/usr/bin/go']);
  script('rust.sh', ['/usr/bin/rustc']);
});

describe('tools and servers', () => {
  script('git.sh', ['/usr/bin/git']);
  script('sqlite.sh', ['/usr/bin/sqlite3']);
  script('redis.sh', ['/usr/bin/redis-server', '/usr/bin/redis-benchmark']);
  script('postgresql.sh', ['/usr/lib/postgresql']);
});

describe('scripting languages', () => {
  script('scripts.sh', ['/usr/bin/ruby', '/usr/bin/php', '/usr/bin/lua5.4', '/usr/bin/perl', '/usr/bin/sbcl']);
});

function readable(path: string): boolean {
  try {
    return readFileSync(path).length > 0;
  } catch {
    return false;
  }
}
