import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);

/** The pinned Node (platforms.md says why it is pinned), not the one that runs us. */
export function sentryNodePath(): string {
  const packaged = join(dirname(require.resolve('node/package.json')), 'bin', 'node');
  return existsSync(packaged) ? packaged : process.execPath;
}

/** The kernel's own state; guest memory is outside the JavaScript heap. A Sentry that needs more ends as `error`. */
const SENTRY_HEAP_MB = 256;
const UNCOLLECTED_HEAP_MB = 96;
export const NODE_FLAGS: readonly string[] = [
  '--single-threaded',
  '--disable-sigusr1',
  '--v8-pool-size=1',
  // Most guests are over before optimised code would have paid: compiling it halts the only thread for up to 10 ms a function. Maglev's is
  // nearly as fast (open+read+close 3,000 times: 18.0 -> 9.5 us each; after 50,000: 3.0 -> 3.5).
  '--no-turbofan',
  // A number that crosses a call is a heap object: inlined, most system calls allocate nothing (stat 37 -> 21 bytes, futex 37 -> 5).
  '--max-maglev-inline-depth=6',
  '--max-maglev-inlined-bytecode-size-cumulative=4000',
  // What has lost its code once would wait for 600 invocations until it gets new code; how many it is otherwise: boot/compilation.ts.
  '--no-profile-guided-optimization',
  // Most guests end before the young generation of their Sentry is full: no collection (1 ms) at all.
  '--min-semi-space-size=4',
  '--expose-gc',
  // What a child calls first must not be compiled in each child, nor forgotten by the collections before the fork.
  '--no-lazy',
  '--no-flush-bytecode',
  // No full collection before the heap is so large: it would throw the code away that was compiled in rehearsals. It also halts a Sentry for
  // 40 ms, and 17 before in steps; some 60 MB are there for what a guest makes the kernel remember (2,000 files and their git: 20).
  `--initial-old-space-size=${UNCOLLECTED_HEAP_MB}`,
  `--max-old-space-size=${SENTRY_HEAP_MB}`,
];

/** Of a zygote that rehearses: what makes its start longer and its children faster. */
const REHEARSING_FLAGS: readonly string[] = [
  // Node's code in large pages, where the host has them: a child inherits their page tables instead of faulting in each piece of a file
  // (/bin/true on a spare 5.1 -> 4.7 ms; 40 MB for the zygote and all its children together, 65 ms of its start).
  '--use-largepages=silent',
  // No child interprets what no rehearsal ran often (4.9 -> 4.35 ms; 80 ms of the start, 9 MB in common).
  '--always-sparkplug',
];

export function nodeFlags(rehearsals: number): readonly string[] {
  return rehearsals > 0 ? [...NODE_FLAGS, ...REHEARSING_FLAGS] : NODE_FLAGS;
}

const zygoteModule = require.resolve('@cordon/app-sentry/main');
const sentryModule = require.resolve('@cordon/sentry/boot/sentry');
const sentryPackage = join(dirname(sentryModule), '..', '..');

/** As deep in the package as the modules that it is made of: they find the addon by a path from their own place. */
export const bundlePath = join(sentryPackage, 'build', 'bundle', 'zygote', 'zygote.cjs');
export const cliBundlePath = join(sentryPackage, 'build', 'bundle', 'cli', 'cli.cjs');
/** Code of the bundles, compiled. */
export const compileCacheDirectory = join(sentryPackage, 'build', 'bundle', 'code');

const timeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Made after the compiler was here last: nobody wants to run what he has just changed as it was before. */
export function bundleIsCurrent(): boolean {
  const made = timeOf(bundlePath);
  const compiled = [dirname(zygoteModule), join(sentryPackage, 'dist')].map((place) =>
    timeOf(join(place, '.tsbuildinfo')),
  );
  return made > 0 && compiled.every((time) => time <= made);
}

export interface SentryProgram {
  /** What Node runs. */
  readonly main: string;
  /** URL of the module that exports `Sentry`. */
  readonly sentryModule: string;
  /** For NODE_COMPILE_CACHE; null: none. */
  readonly compileCache: string | null;
}

/**
 * What a zygote is made of: the bundle, or the modules one by one where it is out of date, or where a kernel comes from elsewhere (tests),
 * which shares modules with the zygote.
 */
export function sentryProgram(ownModule?: string): SentryProgram {
  if (ownModule !== undefined) return { main: zygoteModule, sentryModule: ownModule, compileCache: null };
  const url = pathToFileURL(sentryModule).href;
  if (!bundleIsCurrent()) return { main: zygoteModule, sentryModule: url, compileCache: null };
  return { main: bundlePath, sentryModule: url, compileCache: compileCacheDirectory };
}
