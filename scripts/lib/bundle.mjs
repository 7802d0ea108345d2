// Puts the modules of a zygote and its kernel into one file, and those of `cordon run` into another: loading some 300 one by one takes longer
// than all else of a cold start. Where nothing changed since, does nothing.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'rolldown';
import { bundlePath, cliBundlePath, compileCacheDirectory, NODE_FLAGS } from '../../libs/pool/dist/sentry-program.js';
import { fail, NODE, ROOT } from './project.mjs';

const BUNDLES = [
  {
    input: 'apps/sentry/dist/bundled.js',
    file: bundlePath,
    flags: NODE_FLAGS,
    // Started like this it is no zygote, and throws at once.
    ends: ({ message }) => message.includes('zygote-shim'),
  },
  // Without a command it says how it is used.
  { input: 'apps/cli/dist/bundled.js', file: cliBundlePath, flags: [], ends: () => false },
];
/** What they are made of; scripts/cordon looks at the same. */
const PACKAGES = ['apps/cli', 'apps/sentry', 'libs/images', 'libs/pool', 'libs/sentry'];

const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const compiled = Math.max(...PACKAGES.map((name) => timeOf(join(ROOT, name, 'dist', '.tsbuildinfo'))));

if (BUNDLES.some(({ file }) => timeOf(file) < compiled)) {
  rmSync(compileCacheDirectory, { recursive: true, force: true });
  for (const bundle of BUNDLES) await make(bundle);
  for (const bundle of BUNDLES) compile(bundle);
  shareCode();
}

/**
 * Under another name first: who starts meanwhile, and another build, see a whole one. It is as old as the moment before its modules were
 * read, so that what the compiler writes meanwhile makes it out of date.
 */
async function make({ input, file }) {
  const begun = new Date();
  const draft = `${file}.${process.pid}`;
  const output = { file: draft, format: 'cjs', comments: false };
  await build({ cwd: ROOT, input, platform: 'node', logLevel: 'warn', output });
  utimesSync(draft, begun, begun);
  renameSync(draft, file);
}

/** Compiled here, once: V8 takes the code from the cache as long as Node, its flags and the text are the same. */
function compile({ file, flags, ends }) {
  const load = `
    process.once('uncaughtException', (error) => {
      require('node:module').flushCompileCache();
      process.exit((${ends})(error) ? 0 : 1);
    });
    process.once('beforeExit', () => process.exit(0));
    require(${JSON.stringify(file)});`;
  const { NODE_DISABLE_COMPILE_CACHE: _, ...env } = process.env;
  const stdio = ['ignore', 'ignore', 'inherit'];
  const { status } = spawnSync(NODE, [...flags, '-e', load], {
    env: { ...env, NODE_COMPILE_CACHE: compileCacheDirectory },
    stdio,
  });
  if (status !== 0) fail(`${file} does not load`);
}

/** Node keeps the code to its maker. Others may read it, too; where they cannot use it they compile for themselves. */
function shareCode() {
  if (!existsSync(compileCacheDirectory)) return;
  for (const entry of readdirSync(compileCacheDirectory, { recursive: true, withFileTypes: true })) {
    try {
      chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
    } catch (error) {
      // Another build began meanwhile.
      if (error.code !== 'ENOENT') throw error;
    }
  }
}
