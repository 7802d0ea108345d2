import {
  type ExecutionJob,
  FIXED_LIMITS,
  type JudgeJob,
  type JudgeOutcome,
  type TestResultDto,
  type Verdict,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { EndReport, ImageSpec, RunHandle, SandboxPool } from '@cordon/pool';
import { environmentOf, filesOf, GUEST_UID } from '../run-spec.js';
import { compare } from './checkers.js';
import type { Artifact } from './compile-cache.js';
import type { Compiler } from './compiler.js';

/** Of what a checker prints. */
const MESSAGE_SHOWN = 1000;
const CHECKER_OUTPUT = 64 << 10;

/** What a test's run ended with, before its output is looked at; null: look at it. */
const VERDICT_OF: Readonly<Record<EndReport['reason'], Verdict | null>> = {
  exited: null,
  signaled: 'RE',
  timed_out: 'TLE',
  cpu_exceeded: 'TLE',
  memory_exceeded: 'MLE',
  output_exceeded: 'OLE',
  canceled: 'SK',
  error: 'IE',
};

export interface JudgeOptions {
  readonly pool: SandboxPool;
  readonly image: ImageSpec;
  readonly compiler: Compiler;
  readonly runtimes: ReadonlyMap<string, DiscoveredRuntime>;
  /** A test has ended. */
  readonly told: (result: TestResultDto) => Promise<void>;
}

interface Program {
  readonly runtime: DiscoveredRuntime;
  readonly artifacts: readonly Artifact[];
}

/** Judges one submission. `cancel` ends it soon; what has not run is SK. */
export class Judging {
  private readonly gone = new AbortController();
  private readonly handles = new Set<RunHandle>();
  /** Processor time of everything run for it, ms. */
  cpuMs = 0;

  constructor(
    private readonly job: ExecutionJob,
    private readonly judge: JudgeJob,
    private readonly options: JudgeOptions,
  ) {}

  get canceled(): boolean {
    return this.gone.signal.aborted;
  }

  cancel(): void {
    this.gone.abort();
    for (const handle of this.handles) handle.cancel();
  }

  async run(runtime: DiscoveredRuntime): Promise<JudgeOutcome> {
    const { job, judge } = this;
    const compiled = await this.compile(runtime, filesOf(job, runtime));
    if (!compiled.artifacts) {
      return this.outcome(compiled.failure === null ? 'CE' : 'IE', compiled.compilation, [], compiled.failure);
    }
    let checker: Program | null = null;
    if (judge.checker.kind === 'custom') {
      const found = this.options.runtimes.get(judge.checker.runtime ?? '');
      if (!found)
        return this.outcome('IE', compiled.compilation, [], `no runtime ${judge.checker.runtime} for the checker`);
      const source = { ...job, source: judge.checker.source, files: [] };
      const made = await this.compile(found, filesOf(source, found));
      if (!made.artifacts) {
        const why = made.failure ?? `the checker did not compile: ${made.compilation?.output ?? ''}`;
        return this.outcome('IE', compiled.compilation, [], why.slice(0, MESSAGE_SHOWN));
      }
      checker = { runtime: found, artifacts: made.artifacts };
    }
    const results = await this.runTests({ runtime, artifacts: compiled.artifacts }, checker);
    return this.outcome(null, compiled.compilation, results, null);
  }

  private async compile(runtime: DiscoveredRuntime, files: readonly Artifact[]): ReturnType<Compiler['compile']> {
    const compiled = await this.options.compiler.compile(
      { runtime, files, limits: this.judge.compileLimits },
      this.gone.signal,
    );
    this.cpuMs += compiled.compilation?.cpuMs ?? 0;
    return compiled;
  }

  /** Some at a time, in order; results come in the order of the tests. */
  private async runTests(program: Program, checker: Program | null): Promise<TestResultDto[]> {
    const { tests, parallel, stopAtFirstFailure } = this.judge;
    const results: TestResultDto[] = [];
    let next = 0;
    let stopped = false;
    const lane = async (): Promise<void> => {
      while (next < tests.length) {
        const index = next++;
        const skip = stopped || this.canceled;
        const result = skip ? skipped(index) : await this.runTest(index, program, checker);
        results[index] = result;
        if (stopAtFirstFailure && result.verdict !== 'AC') stopped = true;
        await this.options.told(result);
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel, tests.length) }, lane));
    return results;
  }

  private async runTest(
    index: number,
    { runtime, artifacts }: Program,
    checker: Program | null,
  ): Promise<TestResultDto> {
    const test = this.judge.tests[index];
    const { report, output } = await this.execute(runtime, artifacts, runtime.run, test.input);
    const { usage, exitCode, signal } = report;
    const result: TestResultDto = {
      index,
      verdict: VERDICT_OF[report.reason] ?? (exitCode === 0 ? 'AC' : 'RE'),
      cpuMs: usage.cpuMs,
      wallMs: usage.wallMs,
      memoryPeakBytes: usage.memoryPeakBytes,
      exitCode,
      signal,
      difference: null,
      message: report.reason === 'error' ? report.detail : null,
    };
    if (result.verdict !== 'AC') return result;
    if (checker) return { ...result, ...(await this.check(checker, test, output)) };
    const { kind, absolute, relative } = this.judge.checker;
    if (kind === 'custom') throw new Error('a custom checker was not compiled');
    return { ...result, ...compare({ kind, absolute, relative }, test.expected, output.toString('utf8')) };
  }

  /** A checker by testlib's convention, in a sandbox of its own: it sees files, never the program. */
  private async check(
    { runtime, artifacts }: Program,
    test: JudgeJob['tests'][number],
    output: Buffer,
  ): Promise<{ verdict: Verdict; message: string | null }> {
    const file = (name: string, content: string | Buffer): Artifact => ({
      path: `${WORK_DIRECTORY}/${name}`,
      mode: 0o644,
      content: typeof content === 'string' ? Buffer.from(content) : content,
    });
    const files = [
      ...artifacts,
      file('input.txt', test.input),
      file('output.txt', output),
      file('answer.txt', test.expected),
    ];
    const argv = [...runtime.run, 'input.txt', 'output.txt', 'answer.txt'];
    const { report, output: said, errors } = await this.execute(runtime, files, argv, '', CHECKER_OUTPUT);
    const message = (errors.length > 0 ? errors : said).toString('utf8').trim().slice(0, MESSAGE_SHOWN) || null;
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

  private async execute(
    runtime: DiscoveredRuntime,
    files: readonly Artifact[],
    argv: readonly string[],
    input: string,
    outputBytes = this.job.limits.outputBytes,
  ): Promise<{ report: EndReport; output: Buffer; errors: Buffer }> {
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    const handle = this.options.pool.run(
      {
        id: this.job.id,
        image: this.options.image,
        argv: [...argv, ...(argv === runtime.run ? this.job.args : [])],
        env: environmentOf(runtime, this.job.env),
        cwd: WORK_DIRECTORY,
        uid: GUEST_UID,
        gid: GUEST_UID,
        hostname: 'sandbox',
        limits: { ...this.job.limits, ...FIXED_LIMITS, outputBytes },
        auditLevel: 'off',
        network: 'none',
        cpus: 1,
        files,
        stdin: input === '' ? 'empty' : 'stream',
        terminal: false,
      },
      {
        stdout: (bytes) => void output.push(Buffer.from(bytes)),
        stderr: (bytes) => void errors.push(Buffer.from(bytes)),
      },
    );
    this.handles.add(handle);
    if (this.canceled) handle.cancel();
    if (input !== '') {
      // A program that does not read its input must not hold the test back.
      void handle.writeStdin(Buffer.from(input, 'utf8')).then(() => handle.endStdin());
    }
    const report = await handle.ended;
    this.handles.delete(handle);
    this.cpuMs += report.usage.cpuMs;
    return { report, output: Buffer.concat(output), errors: Buffer.concat(errors) };
  }

  private outcome(
    whole: Verdict | null,
    compilation: JudgeOutcome['compilation'],
    results: readonly TestResultDto[],
    message: string | null,
  ): JudgeOutcome {
    const { tests } = this.judge;
    const all = tests.map((_test, index) => results[index] ?? { ...skipped(index), message });
    const verdict = whole ?? all.find((result) => result.verdict !== 'AC')?.verdict ?? 'AC';
    return {
      verdict,
      compilation,
      tests: all,
      score: score(tests, all),
      maxScore: tests.reduce((sum, { points }) => sum + points, 0),
    };
  }
}

const skipped = (index: number): TestResultDto => ({
  index,
  verdict: 'SK',
  cpuMs: 0,
  wallMs: 0,
  memoryPeakBytes: 0,
  exitCode: null,
  signal: null,
  difference: null,
  message: null,
});

/** Points of accepted tests; those of a group only when all of it is. */
export function score(tests: JudgeJob['tests'], results: readonly Pick<TestResultDto, 'verdict'>[]): number {
  const failed = new Set<string>();
  tests.forEach(({ group }, index) => {
    if (group !== null && results[index].verdict !== 'AC') failed.add(group);
  });
  return tests.reduce(
    (sum, { points, group }, index) =>
      results[index].verdict === 'AC' && (group === null || !failed.has(group)) ? sum + points : sum,
    0,
  );
}
