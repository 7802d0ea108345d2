import { spawnSync } from 'node:child_process';
import type { Case, Outcome, Suite, Verdict } from '../case.ts';

const CLASSES = ['os', 'pipe', 'filesystem', 'interrupt', 'vm', 'scheduler', 'network'];
/** Seconds each stressor runs; the time to start and to clean up comes on top. */
const SECONDS = 2;

/** Every stressor of these classes that checks its own results. */
export const stressNg: Suite = {
  name: 'stress-ng',
  cases() {
    const verifiable = new Set(words(output('--verifiable')));
    const names = CLASSES.flatMap((name) => words(output('--class', `${name}?`).replace(/^class .* stressors:/, '')));
    return [...new Set(names)]
      .filter((name) => verifiable.has(name))
      .sort()
      .map(caseOf);
  },
};

function caseOf(stressor: string): Case {
  // Without a bound, stressors that allocate until they fail would take the machine's memory natively.
  const command = ['prlimit', `--as=${1536 * 1024 ** 2}`, 'stress-ng', '--verify', '--oomable', '--no-rand-seed'];
  return {
    name: stressor,
    argv: [...command, '--timeout', String(SECONDS), '--temp-path', '$SCRATCH', `--${stressor}`, '1'],
    timeoutMs: 20_000,
    verdicts: (outcome) => new Map([[stressor, verdictOf(outcome)]]),
  };
}

function verdictOf({ exitCode, output }: Outcome): Verdict {
  // A stressor that the kernel does not let run ends with success and says so in passing.
  if (exitCode === 0 && /\bskipping|\bskipped|not implemented|not supported/.test(output)) return 'skip';
  return exitCode === 0 && /successful run completed/.test(output) ? 'pass' : 'fail';
}

function output(...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync('stress-ng', args, { encoding: 'utf8' });
  return stdout + stderr;
}

const words = (text: string): readonly string[] => text.split(/\s+/).filter(Boolean);
