import { execFile } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageSpec } from '@cordon/sentry/boot/boot-message';
import { RUNTIMES } from './catalogue.js';
import { DEFAULT_ENVIRONMENT, type Runtime } from './runtime.js';

/** A runtime that this image really has. */
export interface DiscoveredRuntime extends Runtime {
  readonly version: string;
  /** Absolute path of its first program inside the sandbox. */
  readonly path: string;
  readonly image: string;
}

const VERSION_TIMEOUT_MS = 10_000;
const PATHS = ['/usr/local/bin', '/usr/bin', '/bin'];

/** The host path behind a path of the image, or null when no mount covers it. Links of the image root are followed once. */
function hostPath(image: ImageSpec, path: string): string | null {
  for (const link of image.links) {
    if (path === link.path || path.startsWith(`${link.path}/`)) {
      const target = link.target.startsWith('/') ? link.target : join(link.path, '..', link.target);
      path = target + path.slice(link.path.length);
      break;
    }
  }
  const mount = image.mounts.find((candidate) => path === candidate.path || path.startsWith(`${candidate.path}/`));
  return mount === undefined ? null : mount.source + path.slice(mount.path.length);
}

function insideImage(image: ImageSpec, host: string): boolean {
  return image.mounts.some(({ source }) => host === source || host.startsWith(`${source}/`));
}

/**
 * Where the image has a program: the path inside the sandbox and the host's. Programs whose links lead out of the
 * image, or that not everybody may execute, are not there.
 */
export function findProgram(image: ImageSpec, name: string): { path: string; host: string } | null {
  for (const directory of PATHS) {
    const path = `${directory}/${name}`;
    const candidate = hostPath(image, path);
    if (candidate === null) continue;
    try {
      const host = realpathSync(candidate);
      accessSync(host, constants.X_OK);
      const status = statSync(host);
      if (status.isFile() && (status.mode & 0o001) !== 0 && insideImage(image, host)) return { path, host };
    } catch {
      // absent, or a dangling link
    }
  }
  return null;
}

const known = new Map<string, Promise<string | null>>();

/** Asks a program for its version: the operator's own binary, run natively, once per process and file. */
function askVersion(runtime: Runtime, host: string): Promise<string | null> {
  const { versionArguments, versionPattern } = runtime;
  const key = [host, statSync(host).mtimeMs, ...versionArguments, versionPattern].join(' ');
  let answer = known.get(key);
  if (answer === undefined) {
    answer = new Promise((resolve) => {
      const child = execFile(
        host,
        [...versionArguments],
        {
          timeout: VERSION_TIMEOUT_MS,
          killSignal: 'SIGKILL',
          maxBuffer: 65_536,
          cwd: '/',
          env: { ...DEFAULT_ENVIRONMENT },
        },
        (error, stdout, stderr) => {
          const match = versionPattern.exec(stdout + stderr);
          resolve(match?.[1] ?? (error === null ? 'unknown' : null));
        },
      );
      child.stdin?.on('error', () => {}); // it need not read
      child.stdin?.end('puts [info patchlevel]\n'); // Tcl has no option for it; nobody else reads
    });
    known.set(key, answer);
  }
  return answer;
}

/** Whether a version is so new. What no version is known of is not. */
function isAtLeast(version: string, least: string): boolean {
  const given = version.split('.').map(Number);
  const wanted = least.split('.').map(Number);
  for (const [place, number] of wanted.entries()) {
    const own = given[place] ?? 0;
    if (Number.isNaN(own) || own < number) return false;
    if (own > number) return true;
  }
  return true;
}

/** Programs asked at once. */
const AT_ONCE = 4;

/** The runtimes of an image, in the order of the catalogue. A program that cannot even say its version is left out. */
export async function discoverRuntimes(image: ImageSpec): Promise<DiscoveredRuntime[]> {
  const found: (DiscoveredRuntime | null)[] = [];
  let next = 0;
  const ask = async (): Promise<void> => {
    while (next < RUNTIMES.length) {
      const place = next++;
      found[place] = await discover(image, RUNTIMES[place]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
  return found.filter((runtime) => runtime !== null);
}

async function versionOf(image: ImageSpec, runtime: Runtime, host: string): Promise<string | null> {
  if (runtime.versionProgram === undefined) return askVersion(runtime, host);
  const asked = findProgram(image, runtime.versionProgram);
  // It only knows about the program; the program is there all the same.
  return (asked && (await askVersion(runtime, asked.host))) ?? 'unknown';
}

async function discover(image: ImageSpec, runtime: Runtime): Promise<DiscoveredRuntime | null> {
  const programs = runtime.programs.map((program) => findProgram(image, program));
  const [first] = programs;
  if (!first || programs.includes(null)) return null;
  const version = await versionOf(image, runtime, first.host);
  const { leastVersion } = runtime;
  if (version === null || (leastVersion !== undefined && !isAtLeast(version, leastVersion))) return null;
  return { ...runtime, version, path: first.path, image: image.name };
}
