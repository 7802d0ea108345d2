import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { hostImage } from '@cordon/images';
import { createPool } from '@cordon/pool';
import type { EndReport, RunHandle, RunHandlers, RunSpec, SandboxPool } from '@cordon/pool/types';
import type { RunOptions } from './options.js';
import { UsageError } from './options.js';
import { monotonic, profileOf, renderProfile } from './profile.js';
import { HostTerminal, terminalFor } from './terminal.js';

/** Exit statuses of the CLI itself, apart from the program's own: as timeout(1) and env(1) use them. */
const EXIT_LIMIT = 124;
const EXIT_SENTRY = 125;
const EXIT_NOT_FOUND = 127;

export interface RunExtras {
  readonly auditLevel: RunSpec['auditLevel'];
  readonly audit?: RunHandlers['audit'];
}

/** Runs one program in a Sentry of its own with our stdin, stdout and stderr. Returns the exit status for the shell. */
export async function runProgram(options: RunOptions, extras: RunExtras): Promise<number> {
  const begun = monotonic();
  const image = hostImage();
  const pool = await createPool({
    image,
    platform: options.platform,
    // One Sentry is all that is needed.
    spares: 0,
    renewAfter: Number.POSITIVE_INFINITY,
    rehearsals: 0,
    kvmExitless: process.env.CORDON_KVM_EXITLESS === '1',
  });
  try {
    const { report, marks } = await runInPool(pool, toSpec(options, extras), extras);
    if (options.profile) {
      const profile = profileOf(pool.zygoteStart(), { begun, reported: monotonic() }, marks, report);
      process.stderr.write(renderProfile(profile, options.profile));
    }
    return finish(report, options);
  } finally {
    await pool.close();
  }
}

function toSpec(options: RunOptions, extras: RunExtras): RunSpec {
  return {
    id: `cli-${process.pid}`,
    image: hostImage(),
    argv: options.command,
    env: environment(options.env),
    cwd: options.cwd,
    uid: options.uid,
    gid: options.uid,
    hostname: 'cordon',
    limits: {
      wallTimeMs: options.wallTimeMs,
      cpuTimeMs: options.cpuTimeMs,
      memoryBytes: options.memoryBytes,
      processes: options.processes,
      outputBytes: Number.MAX_SAFE_INTEGER,
      fileBytes: options.memoryBytes,
      openFiles: 1024,
      auditBytes: Number.MAX_SAFE_INTEGER,
    },
    auditLevel: extras.auditLevel,
    network: options.network,
    cpus: 1,
    files: options.files.map(({ path, source }) => ({ path, mode: 0o755, content: readInput(source) })),
    stdin: 'stream',
    terminal: terminalFor(options.terminal),
    marks: options.profile !== null,
    profile: options.profile !== null,
  };
}

function readInput(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`--file: ${(error as Error).message}`);
  }
}

function environment(pairs: readonly string[]): string[] {
  const values = new Map<string, string>([
    ['PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['HOME', '/work'],
    ['LANG', 'C.UTF-8'],
  ]);
  if (process.env.TERM) values.set('TERM', process.env.TERM);
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    values.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return [...values].map(([name, value]) => `${name}=${value}`);
}

async function runInPool(
  pool: SandboxPool,
  spec: RunSpec,
  extras: RunExtras,
): Promise<{ report: EndReport; marks: RunHandle['marks'] }> {
  const handle = pool.run(spec, {
    stdout: (bytes) => write(process.stdout, bytes),
    stderr: (bytes) => write(process.stderr, bytes),
    audit: extras.audit,
    log: (line) => process.stderr.write(`cordon: ${line}\n`),
  });
  const { stdin } = process;
  stdin.on('data', (chunk: Buffer) => {
    stdin.pause();
    handle.writeStdin(chunk).then(
      () => stdin.resume(),
      () => stdin.pause(),
    );
  });
  stdin.on('end', () => handle.endStdin());
  stdin.on('error', () => handle.endStdin());
  const stop = () => handle.cancel();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  const terminal = spec.terminal ? new HostTerminal(({ rows, columns }) => handle.resize(rows, columns)) : null;
  try {
    return { report: await handle.ended, marks: handle.marks };
  } finally {
    terminal?.release();
    stdin.pause();
    stdin.unref?.();
  }
}

/** Our own output is slow or gone: hold the guest back, and forget bytes nobody reads any more. */
function write(stream: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> | undefined {
  if (stream.destroyed || !stream.writable) return undefined;
  if (stream.write(bytes)) return undefined;
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}

function finish(report: EndReport, options: RunOptions): number {
  if (options.json) process.stderr.write(`${JSON.stringify(report)}\n`);
  switch (report.reason) {
    case 'exited':
      if (report.detail && !options.json) process.stderr.write(`cordon: ${report.detail}\n`);
      return report.exitCode ?? EXIT_NOT_FOUND;
    case 'signaled':
      return 128 + signalNumber(report.signal);
    case 'canceled':
      return 128 + constants.signals.SIGINT;
    case 'error':
      process.stderr.write(`cordon: the Sentry failed: ${report.detail ?? 'no detail'}\n`);
      return EXIT_SENTRY;
    default:
      if (!options.json) process.stderr.write(`cordon: ended: ${report.reason}\n`);
      return EXIT_LIMIT;
  }
}

function signalNumber(name: string | null): number {
  const realtime = /^SIGRT(?:MIN)?\+?(\d+)?$/.exec(name ?? '');
  if (realtime) return 34 + Number(realtime[1] ?? 0);
  return constants.signals[name as keyof typeof constants.signals] ?? 0;
}
