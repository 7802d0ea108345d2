import { type ExecutionJob, FIXED_LIMITS, WORK_DIRECTORY } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { ImageSpec, RunSpec } from '@cordon/pool';

/** The ordinary user of every sandbox. */
export const GUEST_UID = 1000;
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: WORK_DIRECTORY,
  LANG: 'C.UTF-8',
  USER: 'user',
};

/** A word for /bin/sh, as it is. */
const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** argv of a job: its own command, or what its runtime says. A runtime that compiles does so in the same sandbox. */
function commandOf(job: ExecutionJob, runtime: DiscoveredRuntime | null): readonly string[] {
  if (!runtime) return job.command ?? [];
  const run = [...runtime.run, ...job.args];
  if (!runtime.compile) return run;
  // Compiler output goes to stderr; the program replaces the shell, so that its end is the sandbox's.
  return ['/bin/sh', '-c', `${runtime.compile.map(quote).join(' ')} 1>&2 && exec "$@"`, 'sh', ...run];
}

/** Environment of a program: ours, the runtime's, the request's. */
export function environmentOf(runtime: DiscoveredRuntime | null, own: Readonly<Record<string, string>>): string[] {
  return Object.entries({ ...ENVIRONMENT, ...runtime?.env, ...own }).map(([name, value]) => `${name}=${value}`);
}

/** The files of a job, its source among them. */
export function filesOf(
  job: Pick<ExecutionJob, 'files' | 'source'>,
  runtime: DiscoveredRuntime | null,
): { path: string; mode: number; content: Buffer }[] {
  const files = job.files.map(({ path, base64 }) => ({
    path: `${WORK_DIRECTORY}/${path}`,
    mode: 0o755,
    content: Buffer.from(base64, 'base64'),
  }));
  if (runtime && job.source !== null) {
    const path = `${WORK_DIRECTORY}/${runtime.fileName}`;
    files.push({ path, mode: 0o644, content: Buffer.from(job.source, 'utf8') });
  }
  return files;
}

/** Precondition: `runtime` is the job's runtime, found on this worker, or null for a command. */
export function runSpec(job: ExecutionJob, runtime: DiscoveredRuntime | null, image: ImageSpec): RunSpec {
  return {
    id: job.id,
    image,
    argv: commandOf(job, runtime),
    env: environmentOf(runtime, job.env),
    cwd: job.cwd,
    uid: GUEST_UID,
    gid: GUEST_UID,
    hostname: 'sandbox',
    limits: { ...job.limits, ...FIXED_LIMITS },
    auditLevel: job.auditLevel,
    network: job.network,
    cpus: 1,
    files: filesOf(job, runtime),
    stdin: job.stdin === '' && !job.interactive ? 'empty' : 'stream',
    terminal: false,
  };
}
