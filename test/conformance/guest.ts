import { hostImage } from '@cordon/images';
import type { RunSpec, SandboxPool } from '@cordon/pool/types';
import type { AuditRecord } from '@cordon/sentry/audit/record';
import { renderStrace } from '@cordon/sentry/audit/strace';
import { type Case, environmentOf, GUEST_PATIENCE, inScratch, MEMORY_BYTES, type Outcome } from './case.ts';

const SCRATCH = '/work';
/** System calls quoted when a case hangs or the Sentry fails. */
const CALLS_QUOTED = 24;
const OUTPUT_KEPT = 4 * 1024 ** 2;

export interface GuestOutcome extends Outcome {
  /** How the Sentry says the run ended. */
  readonly reason: string;
  /** For a Sentry that failed, or a case that the time limit ended: log lines and the last system calls. */
  readonly evidence: readonly string[];
}

/**
 * Runs a case in a Sentry of its own. A run that the time limit ended is run again with the audit log on, so that its
 * last system calls can be quoted: recording every call of every case would change what is tested.
 */
export async function runGuest(pool: SandboxPool, testCase: Case, uid: number): Promise<GuestOutcome> {
  const first = await runOnce(pool, testCase, uid, false);
  if (first.reason === 'exited' || first.reason === 'signaled') return first;
  const traced = await runOnce(pool, testCase, uid, true);
  return { ...first, evidence: [...first.evidence, ...traced.evidence] };
}

async function runOnce(pool: SandboxPool, testCase: Case, uid: number, traced: boolean): Promise<GuestOutcome> {
  let output = '';
  let calls: AuditRecord[] = [];
  const log: string[] = [];
  const started = performance.now();
  const take = (bytes: Uint8Array): void => {
    output = (output + Buffer.from(bytes).toString('latin1')).slice(-OUTPUT_KEPT);
  };
  const handle = pool.run(specOf(testCase, uid, traced), {
    stdout: take,
    stderr: take,
    audit: (records) => {
      calls = [...calls.slice(-CALLS_QUOTED), ...records.slice(-CALLS_QUOTED)].slice(-CALLS_QUOTED);
    },
    log: (line) => void log.push(line),
  });
  const report = await handle.ended;
  return {
    exitCode: report.exitCode,
    signal: report.signal,
    timedOut: report.reason === 'timed_out',
    output,
    milliseconds: performance.now() - started,
    reason: report.reason,
    evidence: [
      ...(report.detail ? [report.detail] : []),
      ...log.slice(-10),
      ...calls.map((record) => renderStrace(record, { pid: true, timestamps: true })),
    ],
  };
}

function specOf(testCase: Case, uid: number, traced: boolean): RunSpec {
  const time = testCase.timeoutMs * GUEST_PATIENCE;
  return {
    id: `conformance-${testCase.name}`,
    image: hostImage(),
    argv: testCase.argv.map((argument) => inScratch(argument, SCRATCH)),
    env: Object.entries(environmentOf(testCase, SCRATCH)).map(([name, value]) => `${name}=${value}`),
    cwd: SCRATCH,
    uid,
    gid: uid,
    hostname: 'cordon',
    limits: {
      wallTimeMs: time,
      cpuTimeMs: time * 4,
      memoryBytes: MEMORY_BYTES,
      processes: 4096,
      outputBytes: 1024 ** 3,
      // As natively: none.
      fileBytes: Number.MAX_SAFE_INTEGER,
      openFiles: 4096,
      auditBytes: 2 ** 40,
    },
    auditLevel: traced ? 'full' : 'off',
    network: 'loopback',
    cpus: 2,
    files: Object.entries(testCase.files ?? {}).map(([path, content]) => ({
      path: `${SCRATCH}/${path}`,
      mode: 0o755,
      content,
    })),
    stdin: 'empty',
    terminal: false,
  };
}
