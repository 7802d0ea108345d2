// Puts the modules of a zygote and its kernel into one file: loading some 300 one by one takes longer than all else of a cold start.
// Where nothing changed since, does nothing.
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'rolldown';
import { bundleIsCurrent, bundlePath, compileCacheDirectory, NODE_FLAGS } from '../../libs/pool/dist/sentry-program.js';
import { fail, NODE, ROOT } from './project.mjs';

if (!bundleIsCurrent()) {
  rmSync(compileCacheDirectory, { recursive: true, force: true });
  await build({
    cwd: ROOT,
    input: 'apps/sentry/dist/bundled.js',
    platform: 'node',
    logLevel: 'warn',
    output: { file: bundlePath, format: 'cjs', comments: false },
  });
  // Compiled here, once: V8 takes the code from the cache as long as Node, its flags and the text are the same. Started like this it is no
  // zygote and throws at once.
  const compile = `
    process.once('uncaughtException', ({ message }) => {
      require('node:module').flushCompileCache();
      process.exit(message.includes('zygote-shim') ? 0 : 1);
    });
    require(${JSON.stringify(bundlePath)});`;
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCacheDirectory };
  const made = spawnSync(NODE, [...NODE_FLAGS, '-e', compile], { env, stdio: 'inherit' });
  if (made.status !== 0) fail('the bundle of the Sentry does not load');
  // Node keeps it to its maker; workers may be other users.
  for (const entry of readdirSync(compileCacheDirectory, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}
