import type { JudgeJob } from '@cordon/contracts';
import type { TestReader } from '@cordon/queue';

export interface Test {
  readonly input: Buffer;
  readonly expected: Buffer;
}

/** The tests of a submission: what they count is known, what is in them is read when it is needed. */
export interface TestSource {
  readonly tests: readonly { readonly points: number; readonly group: string | null }[];
  /** Rejects with TestDataGone when a stored problem was deleted. */
  load(index: number): Promise<Test>;
}

/** Tests that came with the submission, or those of the version of a stored problem that it names. Rejects with TestDataGone. */
export async function testsOf({ tests, origin }: JudgeJob, reader: TestReader): Promise<TestSource> {
  if (!origin || origin.problem === null || origin.version === null) {
    return {
      tests,
      load: async (index) => ({
        input: Buffer.from(tests[index].input, 'utf8'),
        expected: Buffer.from(tests[index].expected, 'utf8'),
      }),
    };
  }
  const { tenant, tests: stored } = await reader.tests(origin.problem, origin.version);
  return {
    tests: stored,
    load: async (index) => {
      const { input, expected } = stored[index];
      const [given, answer] = await Promise.all([reader.read(tenant, input), reader.read(tenant, expected)]);
      return { input: given, expected: answer };
    },
  };
}
