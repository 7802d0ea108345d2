import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Case, environmentOf, inScratch, type Outcome } from './case.ts';

/** Output kept of one case, in characters: the end of it holds the verdict. */
const OUTPUT_KEPT = 4 * 1024 ** 2;

/** Runs a case on the host in a session of its own, as `uid`, and leaves no process of that session behind. */
export function runNative(testCase: Case, uid: number): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), 'cordon-conformance-'));
  chmodSync(scratch, 0o755);
  for (const [path, content] of Object.entries(testCase.files ?? {})) {
    writeFileSync(join(scratch, path), content, { mode: 0o755 });
  }
  const root = process.getuid?.() === 0;
  if (root) chownSync(scratch, uid, uid);
  const [command, ...args] = testCase.argv.map((argument) => inScratch(argument, scratch));
  const started = performance.now();
  const child = spawn(command, args, {
    cwd: scratch,
    env: environmentOf(testCase, scratch),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...(root ? { uid, gid: uid } : {}),
  });
  return new Promise((resolve, reject) => {
    let output = '';
    let timedOut = false;
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('latin1')).slice(-OUTPUT_KEPT);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      timedOut = true;
      endSession(child.pid);
    }, testCase.timeoutMs);
    child.on('error', reject);
    // A child that escaped the session may hold the pipes open: the end of the command is its exit, not their close.
    child.on('exit', (exitCode, signal) => {
      clearTimeout(timer);
      setImmediate(() => {
        endSession(child.pid);
        child.stdout.destroy();
        child.stderr.destroy();
        rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
        resolve({ exitCode, signal, timedOut, output, milliseconds: performance.now() - started });
      });
    });
  });
}

function endSession(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}
