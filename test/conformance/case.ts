/** What one check of a foreign suite did in one world. */
export type Verdict = 'pass' | 'fail' | 'skip';

/** One command of a foreign suite, run natively and in a Sentry with the same user, files and limits. */
export interface Case {
  /** Unique within its suite; what `--only` names. */
  readonly name: string;
  readonly argv: readonly string[];
  /** Added to the environment that all cases have. */
  readonly env?: Readonly<Record<string, string>>;
  /** Put into the scratch directory (the working directory; `$SCRATCH` in argv and env), executable. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** After this long natively the case is given up; the Sentry gets `GUEST_PATIENCE` times as long. */
  readonly timeoutMs: number;
  /** The verdicts in what the command did: one, or one per test that it ran. */
  verdicts(outcome: Outcome): ReadonlyMap<string, Verdict>;
  /** The part of the output that tells why a check failed; default: the end of it. */
  excerpt?(output: string): string;
}

export interface Outcome {
  /** Exit status; null when a signal or the time limit ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** stdout and stderr, as they came. */
  readonly output: string;
  readonly milliseconds: number;
}

export interface Suite {
  readonly name: string;
  /** Prepares what the cases need and lists them in the order to run. */
  cases(): readonly Case[];
}

/** A Sentry serialises the system calls of all threads, and tests with deadlines of their own stretch with it. */
export const GUEST_PATIENCE = 2;

/** Memory of one case: the sandbox's limit, and half of it as the address space of each process in both worlds. */
export const MEMORY_BYTES = 4 * 1024 ** 3;

export const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The environment of every case, with `$SCRATCH` replaced by the scratch directory's path. */
export function environmentOf(testCase: Case, scratch: string): Record<string, string> {
  const environment: Record<string, string> = {
    PATH,
    LANG: 'C.UTF-8',
    HOME: scratch,
    TMPDIR: scratch,
  };
  for (const [name, value] of Object.entries(testCase.env ?? {})) environment[name] = inScratch(value, scratch);
  return environment;
}

export const inScratch = (text: string, scratch: string): string => text.replaceAll('$SCRATCH', scratch);
