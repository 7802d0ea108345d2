import type {
  AuditEntry,
  AuditEvent,
  ExecutionJob,
  JudgeChecker,
  JudgeJob,
  JudgeOutcome,
  TestResultDto,
  Verdict,
} from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { ImageSpec, SandboxPool } from '@cordon/pool';
import { TestDataGone, type TestReader } from '@cordon/queue';
import type { Cores } from '../cores.js';
import { named } from '../named.js';
import { filesOf } from '../run-spec.js';
import { compareBytes } from './checkers.js';
import type { Artifact } from './compile-cache.js';
import type { Compiler } from './compiler.js';
import { interact } from './interaction.js';
import { messageOf, type Outcome, score, skipped, toResult, verdictOf } from './outcome.js';
import { judgeLimits, type Program, Runner, workFile } from './runner.js';
import { type Test, type TestSource, testsOf } from './test-source.js';

/** Of what a compiler of the problem's own programs says. */
const MESSAGE_SHOWN = 1000;
const CHECKER_OUTPUT = 64 << 10;
/** Audit records of all runs of a submission together, and of one run at least and at most. */
const AUDIT_BYTES = { all: 8 << 20, least: 32 << 10, most: 4 << 20 };

export interface JudgeOptions {
  readonly pool: SandboxPool;
  readonly image: ImageSpec;
  readonly compiler: Compiler;
  readonly runtimes: ReadonlyMap<string, DiscoveredRuntime>;
  readonly reader: TestReader;
  readonly cores: Cores;
  readonly renderAudit: (entry: AuditEntry) => string;
  /** A test has ended. */
  readonly told: (result: TestResultDto) => Promise<void>;
  readonly toldAudit: (event: AuditEvent) => Promise<void>;
}

/** Everything that tests are run with. */
interface Programs {
  readonly submission: Program;
  /** How to, where none of the others does. */
  readonly compare: JudgeChecker;
  readonly checker: Program | null;
  readonly interactor: Program | null;
}

type Compiled = Awaited<ReturnType<Compiler['compile']>>;

/** Judges one submission. `cancel` ends it soon; what has not run is SK. */
export class Judging {
  private readonly gone = new AbortController();
  private readonly runner: Runner;
  private compileMs = 0;

  constructor(
    private readonly job: ExecutionJob,
    private readonly judge: JudgeJob,
    private readonly options: JudgeOptions,
  ) {
    const { pool, image, renderAudit, toldAudit } = options;
    this.runner = new Runner(job, { pool, image, renderAudit, told: toldAudit });
  }

  get canceled(): boolean {
    return this.gone.signal.aborted;
  }

  /** Processor time of everything run for it, ms. */
  get cpuMs(): number {
    return this.compileMs + this.runner.cpuMs;
  }

  cancel(): void {
    this.gone.abort();
    this.runner.cancel();
  }

  /** Rejects with TestDataGone when the tests are those of a problem that was deleted. */
  async run(runtime: DiscoveredRuntime): Promise<JudgeOutcome> {
    const { job } = this;
    const source = await testsOf(this.judge, this.options.reader);
    const { checker, interactor } = source;
    const runs = source.tests.length * (interactor ? 2 : 1);
    this.runner.auditBytes = Math.min(
      AUDIT_BYTES.most,
      Math.max(AUDIT_BYTES.least, Math.floor(AUDIT_BYTES.all / runs)),
    );
    const compiled = await this.compile(runtime, filesOf(job, runtime));
    const { compilation } = compiled;
    if (!compiled.artifacts) {
      return outcome(source, compiled.failure === null ? 'CE' : 'IE', compilation, [], compiled.failure);
    }
    const judges = interactor ?? (checker.kind === 'custom' ? checker : null);
    const made = judges ? await this.compileJudge(judges, interactor ? 'interactor' : 'checker') : null;
    if (made?.failure) return outcome(source, 'IE', compilation, [], made.failure);
    const programs: Programs = {
      submission: { runtime, artifacts: compiled.artifacts },
      compare: checker,
      checker: interactor ? null : (made?.program ?? null),
      interactor: interactor ? (made?.program ?? null) : null,
    };
    const results = await this.runTests(source, programs);
    return outcome(source, null, compilation, results, null);
  }

  private async compile(runtime: DiscoveredRuntime, files: readonly Artifact[]): Promise<Compiled> {
    const compiled = await this.options.compiler.compile(
      { runtime, files, limits: this.judge.compileLimits },
      this.gone.signal,
    );
    this.compileMs += compiled.compilation?.cpuMs ?? 0;
    return compiled;
  }

  /** A program of the problem's: that it does not compile is a failure of the judge. */
  private async compileJudge(
    { runtime, source, files }: Pick<JudgeChecker, 'runtime' | 'source' | 'files'>,
    what: string,
  ): Promise<{ program: Program | null; failure: string | null }> {
    const found = this.options.runtimes.get(runtime ?? '');
    if (!found) return { program: null, failure: `no runtime ${runtime} for the ${what}` };
    const own = named({ source, files }, found);
    const made = await this.compile(own.runtime, filesOf(own.program, own.runtime));
    if (made.artifacts) return { program: { runtime: own.runtime, artifacts: made.artifacts }, failure: null };
    const why = made.failure ?? `the ${what} did not compile: ${made.compilation?.output ?? ''}`;
    return { program: null, failure: why.slice(0, MESSAGE_SHOWN) };
  }

  /**
   * Some at a time, in order; results come in the order of the tests. The first lane runs in the submission's own place among the worker's
   * guests; the others wait for places that nobody else wants.
   */
  private async runTests(source: TestSource, programs: Programs): Promise<TestResultDto[]> {
    const { parallel, stopAtFirstFailure } = this.judge;
    const count = source.tests.length;
    const results: TestResultDto[] = [];
    const noneLeft = new AbortController();
    let next = 0;
    let stopped = false;
    // The next test does not wait for the news of this one to be written.
    let telling = Promise.resolve();
    const tell = (result: TestResultDto): void => {
      telling = telling.then(() => this.options.told(result));
      telling.catch(() => this.cancel());
    };
    const one = async (): Promise<void> => {
      const index = next++;
      if (next >= count) noneLeft.abort();
      const skip = stopped || this.canceled;
      const result = skip ? skipped(index) : await this.runTest(index, source, programs);
      results[index] = result;
      if (stopAtFirstFailure && result.verdict !== 'AC') stopped = true;
      tell(result);
    };
    const lane = async (): Promise<void> => {
      while (next < count) await one();
    };
    const extraLane = async (): Promise<void> => {
      while (next < count) {
        const leave = await this.options.cores.enterExtra(noneLeft.signal);
        if (!leave) return;
        try {
          if (next < count) await one();
        } finally {
          leave();
        }
      }
    };
    const extra = Math.min(parallel, count) - 1;
    try {
      await Promise.all([lane(), ...Array.from({ length: Math.max(0, extra) }, extraLane)]);
      await telling;
    } finally {
      noneLeft.abort();
    }
    return results;
  }

  private async runTest(index: number, source: TestSource, programs: Programs): Promise<TestResultDto> {
    let test: Test;
    try {
      test = await source.load(index);
    } catch (error) {
      if (!(error instanceof TestDataGone)) throw error;
      return { ...skipped(index, error.message), verdict: 'IE' };
    }
    const { runner, job } = this;
    const { submission, interactor } = programs;
    const { args, limits } = job;
    const outcome = interactor
      ? await interact({ runner, submission, interactor, args, limits, index }, test)
      : await this.runCompared(index, test, programs);
    return toResult(index, outcome);
  }

  private async runCompared(
    index: number,
    test: Test,
    { submission, checker, compare: how }: Programs,
  ): Promise<Outcome> {
    const { args, limits } = this.job;
    const audited = { test: index, program: 'submission' } as const;
    const { report, output } = await this.runner.run({ program: submission, args, limits, audited }, test.input);
    const verdict = verdictOf(report);
    if (verdict !== 'AC') return { verdict, message: report.reason === 'error' ? report.detail : null, report };
    if (checker) return { ...(await this.check(checker, test, output)), report };
    const { kind, absolute, relative } = how;
    if (kind === 'custom') throw new Error('a custom checker was not compiled');
    const found = compareBytes({ kind, absolute, relative }, test.expected, output);
    return { ...found, message: null, report };
  }

  /** A checker by testlib's convention, in a sandbox of its own: it sees files, never the program. */
  private async check(
    program: Program,
    test: Test,
    output: Buffer,
  ): Promise<{ verdict: Verdict; message: string | null }> {
    const files = [
      workFile('input.txt', test.input),
      workFile('output.txt', output),
      workFile('answer.txt', test.expected),
    ];
    const args = ['input.txt', 'output.txt', 'answer.txt'];
    const limits = { ...judgeLimits(this.job.limits), outputBytes: CHECKER_OUTPUT };
    const { report, output: said, errors } = await this.runner.run({ program, args, files, limits }, Buffer.alloc(0));
    const message = messageOf(errors.length > 0 ? errors : said);
    const byStatus: readonly Verdict[] = ['AC', 'WA', 'PE'];
    if (report.reason === 'exited' && report.exitCode !== null && report.exitCode < byStatus.length) {
      return { verdict: byStatus[report.exitCode], message };
    }
    if (report.reason === 'canceled') return { verdict: 'SK', message: null };
    return {
      verdict: 'IE',
      message: `the checker failed (${report.reason}, ${report.exitCode ?? report.signal}): ${message ?? ''}`,
    };
  }
}

function outcome(
  { tests }: TestSource,
  whole: Verdict | null,
  compilation: JudgeOutcome['compilation'],
  results: readonly TestResultDto[],
  message: string | null,
): JudgeOutcome {
  const all = tests.map((_test, index) => results[index] ?? skipped(index, message));
  const verdict = whole ?? all.find((result) => result.verdict !== 'AC')?.verdict ?? 'AC';
  return {
    verdict,
    compilation,
    tests: all,
    score: score(tests, all),
    maxScore: tests.reduce((sum, { points }) => sum + points, 0),
  };
}
