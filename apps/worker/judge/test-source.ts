import type { JudgeChecker, JudgeJob, JudgeProgram } from '@cordon/contracts';
import type { TestReader } from '@cordon/queue';

export interface Test {
  readonly input: Buffer;
  readonly expected: Buffer;
}

/** What a submission is judged by. What the tests count is known, what is in them is read when it is needed. */
export interface TestSource {
  readonly tests: readonly { readonly points: number; readonly group: string | null }[];
  readonly checker: JudgeChecker;
  readonly interactor: JudgeProgram | null;
  /** Rejects with TestDataGone when a stored problem was deleted. */
  load(index: number): Promise<Test>;
}

/** Tests that came with the submission, or the version of a stored problem that it names. Rejects with TestDataGone. */
export async function testsOf(
  { tests, checker, interactor, origin }: JudgeJob,
  reader: TestReader,
): Promise<TestSource> {
  if (checker) {
    return {
      tests,
      checker,
      interactor: interactor ?? null,
      load: async (index) => ({
        input: Buffer.from(tests[index].input, 'utf8'),
        expected: Buffer.from(tests[index].expected, 'utf8'),
      }),
    };
  }
  if (!origin || origin.problem === null || origin.version === null) throw new Error('a submission without tests');
  const { tenant, settings, tests: stored } = await reader.problem(origin.problem, origin.version);
  return {
    tests: stored,
    checker: settings.checker,
    interactor: settings.interactor,
    load: async (index) => {
      const { input, expected } = stored[index];
      const [given, answer] = await Promise.all([reader.read(tenant, input), reader.read(tenant, expected)]);
      return { input: given, expected: answer };
    },
  };
}
