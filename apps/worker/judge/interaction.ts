import type { ExecutionLimits, TestResultDto } from '@cordon/contracts';
import type { EndReport, IdleReport, RunHandle } from '@cordon/pool';
import { messageOf, type Outcome, verdictOf } from './outcome.js';
import { judgeLimits, type Program, type Runner, workFile } from './runner.js';
import type { Test } from './test-source.js';

/** So long may both programs wait for input, and take next to no processor time, before that is called a deadlock. */
const QUIET_MS = 2_000;
const QUIET_CPU_MS = 100;
/** The interactor may go on for this long after the submission's own time is over: it has something to say. */
const INTERACTOR_MORE_MS = 2_000;
/** What the interactor prints at most, whatever the submission may. */
const INTERACTOR_OUTPUT = 16 << 20;
/** Of the interactor's stderr: its message, and what it says for people. */
const MESSAGE_BYTES = 64 << 10;
const BY_STATUS = ['AC', 'WA', 'PE'] as const;

export interface InteractionOptions {
  readonly runner: Runner;
  readonly submission: Program;
  readonly interactor: Program;
  readonly args: readonly string[];
  readonly limits: ExecutionLimits;
  /** Place of the test, for the audit. */
  readonly index: number;
}

/** One of the two programs. */
interface Side {
  handle: RunHandle | null;
  /** Bytes sent to its stdin, and how many of them had arrived when it was last found waiting for nothing but more; -1: never. */
  sent: number;
  stuckAt: number;
  /** Since when it waits for input without doing much, and what it had taken by then; null: it does not. */
  quiet: { readonly since: number; readonly cpuMs: number } | null;
  over: boolean;
}

const newSide = (): Side => ({ handle: null, sent: 0, stuckAt: -1, quiet: null, over: false });

/**
 * A submission and an interactor, each in a sandbox of its own, the stdout of one being the stdin of the other by way of this process. When
 * one ends, the other's input does.
 *
 * A deadlock: both have everything that was sent to them and can be woken by nothing but more. Then neither will ever send: a Sentry says so
 * behind the last byte its guest printed, so there is nothing under way that was not counted. Of a guest whose runtime has timers of its own
 * (the JVM, Go, Erlang) nobody can know that: waiting for input for a while without doing anything stands for it.
 */
class Interaction {
  private readonly submission = newSide();
  private readonly interactor = newSide();
  private first: 'submission' | 'interactor' | null = null;
  private deadlock = false;
  private readonly words: Buffer[] = [];
  private wordBytes = 0;

  constructor(private readonly options: InteractionOptions) {}

  async run(test: Test): Promise<Outcome> {
    const { runner, submission, interactor, args, limits, index } = this.options;
    const judging = runner.start(
      {
        program: interactor,
        args: ['input.txt', 'output.txt', 'answer.txt'],
        files: [workFile('input.txt', test.input), workFile('answer.txt', test.expected)],
        limits: {
          ...judgeLimits(limits),
          wallTimeMs: limits.wallTimeMs + INTERACTOR_MORE_MS,
          cpuTimeMs: limits.wallTimeMs + INTERACTOR_MORE_MS,
          outputBytes: INTERACTOR_OUTPUT,
        },
        stdin: 'stream',
        tellIdle: true,
        audited: { test: index, program: 'interactor' },
      },
      {
        stdout: (bytes) => this.pass(bytes, this.submission),
        stderr: (bytes) => this.hear(bytes),
        idle: (report) => this.idle(this.interactor, report),
      },
    );
    const judged = runner.start(
      {
        program: submission,
        args,
        limits,
        stdin: 'stream',
        tellIdle: true,
        audited: { test: index, program: 'submission' },
      },
      {
        stdout: (bytes) => this.pass(bytes, this.interactor),
        idle: (report) => this.idle(this.submission, report),
      },
    );
    this.interactor.handle = judging;
    this.submission.handle = judged;
    const [of, by] = await Promise.all([
      judged.ended.then((report) => this.ended('submission', report)),
      judging.ended.then((report) => this.ended('interactor', report)),
    ]);
    return { ...this.decide(of, by), report: of };
  }

  /** Resolves when there is room for more: the program that writes waits for the other. */
  private pass(bytes: Uint8Array, to: Side): Promise<void> {
    to.sent += bytes.length;
    this.submission.quiet = null;
    this.interactor.quiet = null;
    return to.handle === null ? Promise.resolve() : to.handle.writeStdin(Buffer.from(bytes));
  }

  private hear(bytes: Uint8Array): void {
    if (this.wordBytes < MESSAGE_BYTES) this.words.push(Buffer.from(bytes));
    this.wordBytes += bytes.length;
  }

  private idle(side: Side, { received, stuck, cpuMs }: IdleReport): void {
    const now = performance.now();
    if (stuck) side.stuckAt = received;
    if (received !== side.sent) side.quiet = null;
    else if (side.quiet === null || cpuMs - side.quiet.cpuMs > QUIET_CPU_MS) side.quiet = { since: now, cpuMs };
    const { submission, interactor } = this;
    const waits = ({ sent, stuckAt, quiet, over }: Side): boolean =>
      !over && (stuckAt === sent || (quiet !== null && now - quiet.since >= QUIET_MS));
    if (!waits(submission) || !waits(interactor)) return;
    this.deadlock = true;
    submission.handle?.cancel();
    interactor.handle?.cancel();
  }

  private ended(who: 'submission' | 'interactor', report: EndReport): EndReport {
    this.first ??= who;
    const other = who === 'submission' ? this.interactor : this.submission;
    this[who].over = true;
    if (who === 'interactor' && !(report.reason === 'exited' && report.exitCode === 0)) {
      // It has judged, or failed: what the submission does now is of no interest.
      other.handle?.cancel();
    } else {
      other.handle?.endStdin();
    }
    return report;
  }

  /** Who ends first decides, unless it ends well: then the other does. */
  private decide(of: EndReport, by: EndReport): Pick<TestResultDto, 'verdict' | 'message'> {
    const message = messageOf(Buffer.concat(this.words));
    if (this.deadlock) return { verdict: 'TLE', message: 'deadlock: each program waits for the other' };
    const own = verdictOf(of);
    const said = by.reason === 'exited' && by.exitCode !== null ? BY_STATUS[by.exitCode] : undefined;
    if (this.first === 'submission' && own !== 'AC') return { verdict: own, message: message ?? of.detail };
    if (by.reason === 'canceled') return { verdict: 'SK', message: null };
    if (said === undefined) {
      const how = `the interactor failed (${by.reason}, ${by.exitCode ?? by.signal})`;
      return { verdict: 'IE', message: `${how}: ${message ?? by.detail ?? ''}` };
    }
    return { verdict: said === 'AC' ? own : said, message };
  }
}

/** Runs one test of an interactive problem. */
export function interact(options: InteractionOptions, test: Test): Promise<Outcome> {
  return new Interaction(options).run(test);
}
