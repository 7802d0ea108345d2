// What every script needs to know of the project: where it is, its Node, and how to make it runnable.
// Runs on the machine's own Node (20 or later), before anything is installed: no dependencies here.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** The pinned Node that the project runs on, brought by the npm package `node`. */
export const NODE = join(ROOT, 'node_modules', 'node', 'bin', 'node');

/** Runs a command in the project's root, showing its output; ends the script with its status when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  if (result.error) fail(`${command}: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

export function fail(message) {
  console.error(`cordon: ${message}`);
  process.exit(1);
}

/** Installs the npm dependencies when they are absent or the lock file changed since. */
export function installDependencies() {
  const lock = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .digest('hex');
  const stamp = join(ROOT, 'node_modules', '.cordon-lock');
  const current = existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';
  if (current !== lock || !existsSync(NODE)) {
    console.error('cordon: installing dependencies …');
    run('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error']);
    // The package `node` fetches its binary in an install script; where scripts are switched off, run it by hand.
    if (!existsSync(NODE)) run('node', ['installArchSpecificPackage'], { cwd: join(ROOT, 'node_modules', 'node') });
    if (!existsSync(NODE)) fail('the npm package "node" did not bring its binary; run: npm rebuild node');
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, lock);
  }
}

/** Compiles the addon (needs a C compiler) and the TypeScript, and bundles what a Sentry runs. Quick when nothing changed. */
export function build() {
  if (spawnSync('cc', ['--version'], { stdio: 'ignore' }).status !== 0) {
    fail('a C compiler is needed: install gcc (Debian: apt-get install gcc libc6-dev)');
  }
  run(NODE, ['libs/sentry/platform/native/build.mjs']);
  run(NODE, ['node_modules/typescript/bin/tsc', '-b']);
  run(NODE, ['scripts/lib/bundle.mjs']);
}
