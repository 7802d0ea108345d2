import type { Case, Outcome, Verdict } from './case.ts';
import type { GuestOutcome } from './guest.ts';
import type { KnownFailures } from './known-failures.ts';

/** What a case's checks did in both worlds. */
export interface CaseScore {
  readonly suite: string;
  readonly name: string;
  /** Checks that pass natively: what the Sentry is measured against. */
  readonly baseline: readonly string[];
  readonly passed: readonly string[];
  /** In the baseline, not passed inside, and nobody knew. */
  readonly newFailures: readonly string[];
  /** As written down in known-failures.json. */
  readonly knownFailures: readonly string[];
  /** Written down, but passed: the entry must go. */
  readonly fixed: readonly string[];
  /** Not in the baseline: natively failed or skipped. */
  readonly skipped: readonly string[];
  readonly seconds: { readonly native: number; readonly guest: number };
  /** Why, for what failed: the end of the output, and the Sentry's own evidence. */
  readonly explanation: string;
}

export function score(
  suite: string,
  testCase: Case,
  native: Outcome,
  guest: GuestOutcome | null,
  known: KnownFailures,
): CaseScore {
  const nativeVerdicts = native.timedOut ? new Map<string, Verdict>() : testCase.verdicts(native);
  const guestVerdicts = guest ? testCase.verdicts(guest) : new Map<string, Verdict>();
  const checks = [...nativeVerdicts.keys()];
  const baseline = checks.filter((check) => nativeVerdicts.get(check) === 'pass');
  const passes = (check: string): boolean => guest?.reason === 'exited' && guestVerdicts.get(check) === 'pass';
  const isKnown = (check: string): boolean => `${suite}/${check}` in known;
  const failed = baseline.filter((check) => !passes(check));
  const passed = baseline.filter(passes);
  return {
    suite,
    name: testCase.name,
    baseline,
    passed,
    newFailures: failed.filter((check) => !isKnown(check)),
    knownFailures: failed.filter(isKnown),
    fixed: passed.filter(isKnown),
    skipped: native.timedOut ? [testCase.name] : checks.filter((check) => nativeVerdicts.get(check) !== 'pass'),
    seconds: { native: native.milliseconds / 1000, guest: (guest?.milliseconds ?? 0) / 1000 },
    explanation: guest && failed.length > 0 ? explain(testCase, guest) : '',
  };
}

/** Lines of output quoted for a failure. */
const LINES_QUOTED = 40;

function explain(testCase: Case, guest: GuestOutcome): string {
  const end = guest.signal ?? guest.exitCode ?? '';
  const told = testCase.excerpt?.(guest.output) ?? guest.output;
  const tail = told.trimEnd().split('\n').slice(-LINES_QUOTED);
  return [`ended: ${guest.reason} ${end}`, ...tail, ...guest.evidence].join('\n');
}
