// Builds the native parts into libs/sentry/build/: the addon, the library preloaded into the zygote, the launcher.
// Needs a C compiler and nothing from the network: the Node-API headers come from the npm package node-api-headers.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '..', '..', 'build');
const headers = createRequire(import.meta.url)('node-api-headers').include_dir;
const compiler = process.env.CC ?? 'cc';
/** Bound at load: a stub calls the C library when the linker's own data is no longer there (ptrace.c). */
const bound = '-Wl,-z,now';
const warnings = ['-std=gnu17', '-O2', '-g', '-Wall', '-Wextra'];

/** No libraries, no stack protector, no control-flow notes: nothing but the code. */
const bare = [
  '-nostdlib',
  '-ffreestanding',
  '-fno-stack-protector',
  '-fcf-protection=none',
  '-g0',
  '-Wl,--build-id=none',
];

/** Sources that are no part of the addon. */
const alone = new Set(['launch.c', 'zygote-shim.c', 'vdso.c', 'rehearsal.c']);
const sources = readdirSync(here).filter((name) => name.endsWith('.c') && !alone.has(name));
const shared = readdirSync(here).filter((name) => name.endsWith('.h') || name.endsWith('.lds') || name === 'build.mjs');

const targets = [
  { file: 'cordon.node', sources, flags: ['-shared', '-fPIC', bound, `-I${headers}`] },
  {
    file: 'zygote-shim.so',
    sources: ['zygote-shim.c'],
    flags: ['-shared', '-fPIC', bound, '-fvisibility=hidden'],
    libraries: ['-ldl'],
  },
  { file: 'cordon-launch', sources: ['launch.c'], flags: [] },
  {
    file: 'rehearsal',
    sources: ['rehearsal.c'],
    flags: ['-static-pie', '-fPIE', ...bare, '-Wl,-z,norelro'],
  },
  {
    file: 'vdso.so',
    sources: ['vdso.c'],
    flags: [
      ...['-shared', '-fPIC', ...bare, '-fvisibility=hidden', '-Wl,-soname,linux-vdso.so.1', '-Wl,--hash-style=both'],
      ...['-Wl,-z,max-page-size=4096', `-Wl,-T,${join(here, 'vdso.lds')}`],
    ],
  },
];

mkdirSync(out, { recursive: true });
for (const { file, sources, flags, libraries = [] } of targets) {
  const target = join(out, file);
  const inputs = [...sources, ...shared].map((name) => join(here, name));
  const built = existsSync(target) ? statSync(target).mtimeMs : 0;
  if (inputs.every((input) => statSync(input).mtimeMs < built)) continue;
  // Renamed into place: a running process keeps the file it has mapped.
  const fresh = `${target}.${process.pid}`;
  const compiled = spawnSync(
    compiler,
    [...warnings, ...flags, '-o', fresh, ...sources.map((name) => join(here, name)), ...libraries],
    { stdio: 'inherit' },
  );
  if (compiled.status !== 0) process.exit(1);
  renameSync(fresh, target);
}
