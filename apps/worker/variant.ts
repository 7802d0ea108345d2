import { type ExecutionJob, sameLines } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { EndReport } from '@cordon/pool';

/** The runtime as the job wants it; a command that is made by another one is a runtime of its own. */
export function varied(job: ExecutionJob, runtime: DiscoveredRuntime | null): DiscoveredRuntime | null {
  const { compileArgs = [], compileCommand } = job.variant ?? {};
  if (runtime?.compile && compileArgs.length > 0) return { ...runtime, compile: [...runtime.compile, ...compileArgs] };
  if (runtime || !compileCommand || !job.command) return runtime;
  return {
    id: 'command',
    name: 'Command',
    aliases: [],
    fileName: '',
    extension: '',
    programs: [],
    packages: [],
    versionArguments: [],
    versionPattern: /$/,
    version: '',
    path: '',
    image: '',
    compile: compileCommand,
    run: job.command,
  };
}

/** What has to be set up before the program, by a shell that it then replaces. */
export function wrapped(job: ExecutionJob, argv: readonly string[]): readonly string[] {
  const { stackKib, mergeStderr = false } = job.variant ?? {};
  if (stackKib === undefined && !mergeStderr) return argv;
  const stack = stackKib === undefined ? '' : `ulimit -s ${stackKib}; `;
  return ['/bin/sh', '-c', `${stack}exec "$@"${mergeStderr ? ' 2>&1' : ''}`, 'sh', ...argv];
}

/** Output of a run that may not be the last one. */
export class HeldOutput {
  private readonly pieces: { stream: 'stdout' | 'stderr'; bytes: Buffer }[] = [];

  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): undefined {
    this.pieces.push({ stream, bytes: Buffer.from(bytes) });
  }

  /** Null: anything will do. */
  wrote(expected: string | null): boolean {
    const stdout = this.pieces.filter(({ stream }) => stream === 'stdout').map(({ bytes }) => bytes);
    return expected === null || sameLines(expected, Buffer.concat(stdout).toString('utf8'));
  }

  async giveTo(relay: {
    output(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> | undefined;
  }): Promise<void> {
    for (const { stream, bytes } of this.pieces) await relay.output(stream, bytes);
  }
}

/** The last report, with the mean of what all used. */
export function withMeanUsage(reports: readonly EndReport[]): EndReport {
  const last = reports[reports.length - 1];
  const mean = (name: keyof EndReport['usage']): number =>
    reports.reduce((sum, { usage }) => sum + usage[name], 0) / reports.length;
  const usage = {
    wallMs: mean('wallMs'),
    cpuMs: mean('cpuMs'),
    memoryPeakBytes: Math.round(mean('memoryPeakBytes')),
    syscalls: Math.round(mean('syscalls')),
  };
  return { ...last, usage };
}
