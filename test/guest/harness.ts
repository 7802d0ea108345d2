import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostImage } from '@cordon/images';
import { createPool } from '@cordon/pool';
import type { EndReport, PlatformChoice, RunSpec, SandboxPool } from '@cordon/pool/types';
import type { AuditRecord } from '@cordon/sentry/audit/record';
import { afterAll, afterEach, beforeAll } from 'vitest';

/** One program, run natively or in a Sentry. Files are relative to the work directory, which is the cwd in both. */
export interface Program {
  readonly argv: readonly string[];
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly limits?: Partial<RunSpec['limits']>;
  readonly auditLevel?: RunSpec['auditLevel'];
  readonly network?: RunSpec['network'];
  readonly uid?: number;
  /** Processors that the guest sees (1). */
  readonly cpus?: number;
  readonly watchHeap?: boolean;
  /** In a terminal of this size instead of pipes; `stdin` is typed into it. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface GuestOutcome extends Outcome {
  readonly stdoutBytes: Buffer;
  readonly report: EndReport;
  readonly audit: readonly AuditRecord[];
  readonly log: readonly string[];
}

const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
} as const;

/** Together below the test's own limit, so that a hang says in which of the worlds it was. */
const NATIVE_LIMIT_MS = 40_000;

const LIMITS: RunSpec['limits'] = {
  wallTimeMs: 45_000,
  cpuTimeMs: 30_000,
  memoryBytes: 1024 ** 3,
  processes: 256,
  outputBytes: 64 * 1024 ** 2,
  fileBytes: 1024 ** 3,
  openFiles: 1024,
  auditBytes: 64 * 1024 ** 2,
};

/** CORDON_TEST_PLATFORM runs every kernel test on a platform of choice. */
const TEST_PLATFORM = (process.env.CORDON_TEST_PLATFORM ?? 'auto') as PlatformChoice;

let pool: SandboxPool | undefined;

/** How the runs of the present test ended: shown when it fails, whatever it compared. */
let ends: string[] = [];

/** Gives the test file a pool of Sentries (call once, at top level). */
export function useGuests(platform: PlatformChoice = TEST_PLATFORM): void {
  beforeAll(async () => {
    pool = await createPool({
      image: hostImage(),
      platform,
      spares: 1,
      renewAfter: 1000,
      kvmExitless: process.env.CORDON_KVM_EXITLESS === '1',
    });
  }, 60_000);
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`runs of "${task.name}":\n${ends.join('\n')}\n`);
    ends = [];
  });
  afterAll(async () => {
    await pool?.close();
    pool = undefined;
  });
}

/** The pool of this test file. */
export function guestPool(): SandboxPool {
  if (!pool) throw new Error('call useGuests() at the top of the test file');
  return pool;
}

/** Runs a program in a Sentry of its own to its end. */
export async function runGuest(program: Program): Promise<GuestOutcome> {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  const audit: AuditRecord[] = [];
  const log: string[] = [];
  const handle = guestPool().run(specOf(program), {
    stdout: (bytes) => void stdout.push(Uint8Array.from(bytes)),
    stderr: (bytes) => void stderr.push(Uint8Array.from(bytes)),
    audit: (records) => void audit.push(...records),
    log: (line) => void log.push(line),
  });
  if (program.stdin !== undefined) {
    await handle.writeStdin(typeof program.stdin === 'string' ? Buffer.from(program.stdin) : program.stdin);
  }
  handle.endStdin();
  const report = await handle.ended;
  // Rare by nature, and comparisons leave it out: never let one pass without a trace.
  if (report.reason === 'error') process.stderr.write(`the Sentry failed: ${JSON.stringify({ report, log })}\n`);
  const bytes = Buffer.concat(stdout);
  ends.push(JSON.stringify({ argv: program.argv, report, log, stderr: String(Buffer.concat(stderr)).slice(0, 500) }));
  return {
    exitCode: report.exitCode,
    signal: report.signal,
    stdout: bytes.toString('utf8'),
    stdoutBytes: bytes,
    stderr: Buffer.concat(stderr).toString('utf8'),
    report,
    audit,
    log,
  };
}

export function specOf(program: Program): RunSpec {
  return {
    id: 'test',
    image: hostImage(),
    argv: program.argv,
    env: Object.entries({ ...ENV, HOME: '/work', ...program.env }).map(([name, value]) => `${name}=${value}`),
    cwd: '/work',
    uid: program.uid ?? 1000,
    gid: program.uid ?? 1000,
    hostname: 'cordon',
    limits: { ...LIMITS, ...program.limits },
    auditLevel: program.auditLevel ?? 'off',
    network: program.network ?? 'loopback',
    cpus: program.cpus ?? 1,
    files: Object.entries(program.files ?? {}).map(([path, content]) => ({
      path,
      mode: 0o755,
      content: typeof content === 'string' ? Buffer.from(content) : content,
    })),
    stdin: 'stream',
    terminal: program.terminal ?? false,
    watchHeap: program.watchHeap,
  };
}

/** Runs the same program on the host, in a directory of its own with the same files. */
export async function runNative(program: Program): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), 'cordon-native-'));
  try {
    chmodSync(directory, 0o755);
    for (const [path, content] of Object.entries(program.files ?? {})) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), content, { mode: 0o755 });
    }
    const outcome = await spawnNative(program, directory);
    // Programs print where they are: there the two worlds differ by name only.
    const renamed = (text: string): string => text.replaceAll(directory, '/work');
    return { ...outcome, stdout: renamed(outcome.stdout), stderr: renamed(outcome.stderr) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function spawnNative(program: Program, directory: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const [command, ...args] = program.argv;
    const child = spawn(command, args, { cwd: directory, env: { ...ENV, HOME: directory, ...program.env } });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.stdin.on('error', () => undefined);
    child.stdin.end(program.stdin ?? '');
    const texts = () => ({
      stdout: Buffer.concat(stdout).toString('utf8'),
      stderr: Buffer.concat(stderr).toString('utf8'),
    });
    const late = setTimeout(
      () => {
        child.kill('SIGKILL');
        reject(new Error(`natively the program did not end either: ${JSON.stringify(texts())}`));
      },
      Math.max(NATIVE_LIMIT_MS, program.limits?.wallTimeMs ?? 0),
    );
    child.on('close', (exitCode, signal) => {
      clearTimeout(late);
      resolve({ exitCode, signal, ...texts() });
    });
  });
}

/** Runs in both worlds; the caller compares. Natively first, so that a program broken on this machine shows as such. */
export async function runBoth(program: Program): Promise<{ native: Outcome; guest: GuestOutcome }> {
  const native = await runNative(program);
  const guest = await runGuest(program);
  return { native, guest };
}

/** What must agree between the worlds; process ids in bash's job messages are nobody's promise. */
export function visible(outcome: Outcome | GuestOutcome): Outcome {
  const { exitCode, signal, stdout } = outcome;
  // A run that ended neither way was ended by the sandbox: say why, or the comparison shows nothing but an empty output.
  if (exitCode === null && signal === null && 'report' in outcome) {
    return { exitCode, signal, stdout, stderr: JSON.stringify([outcome.report, outcome.log, outcome.stderr]) };
  }
  return { exitCode, signal, stdout, stderr: outcome.stderr.replace(/(: line \d+:) +\d+ (?=[A-Z])/g, '$1 PID ') };
}

const PROGRAMS = join(dirname(fileURLToPath(import.meta.url)), 'programs');
const CACHE = join(tmpdir(), `cordon-test-programs-${process.getuid?.() ?? 0}`);

/** Compiles test/guest/programs/NAME.c (or .cc) with the machine's compiler, once per content; returns the binary. */
export function compile(name: string, flags: readonly string[] = ['-O1', '-pthread']): Buffer {
  const source = join(PROGRAMS, name);
  const compiler = name.endsWith('.c') ? 'gcc' : 'g++';
  const key = createHash('sha256')
    .update(readFileSync(source))
    .update(readFileSync(join(PROGRAMS, 'results.h')))
    .update(JSON.stringify([compiler, flags]))
    .digest('hex')
    .slice(0, 24);
  const binary = join(CACHE, key);
  if (!existsSync(binary)) {
    mkdirSync(CACHE, { recursive: true });
    const partial = `${binary}.${process.pid}`;
    execFileSync(compiler, ['-o', partial, source, ...flags], { stdio: ['ignore', 'ignore', 'inherit'] });
    renameSync(partial, binary);
  }
  return readFileSync(binary);
}
