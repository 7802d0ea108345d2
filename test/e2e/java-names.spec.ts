import { existsSync } from 'node:fs';
import type { ExecutionDto, SubmissionDto } from '@cordon/contracts';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const LIMITS = { wallTimeMs: 60_000, cpuTimeMs: 60_000, memoryBytes: 512 << 20 };
const hello = (name: string, before = ''): string =>
  `${before}public class ${name} { public static void main(String[] args) {
    System.out.println("from " + ${name}.class.getName() + " " + new java.util.Scanner(System.in).nextLine()); } }`;

// What is read of a source is tested beside java-source.ts; here javac and java must agree.
describe.skipIf(!existsSync('/usr/bin/javac'))('a Java program whose public class has another name than Main', () => {
  it('runs, in a package too; a file that has its name already is for the compiler to tell', async () => {
    const run = async (more: object): Promise<ExecutionDto> =>
      (await cordon.post({ runtime: 'java', stdin: 'x\n', limits: LIMITS, ...more }, '?wait=60')).body;
    const [plain, packaged, helped, clash] = await Promise.all([
      run({ source: hello('Greeting') }),
      run({ source: hello('Größe', 'package org.example;\n') }),
      run({
        source:
          'public class Game { }\nclass Start { public static void main(String[] a) { System.out.println(Helper.WORD); } }',
        files: [{ path: 'Helper.java', content: 'class Helper { static final String WORD = "helped"; }' }],
      }),
      run({ source: hello('Greeting'), files: [{ path: 'Greeting.java', content: 'class Other {}' }] }),
    ]);
    expect(plain).toMatchObject({ state: 'succeeded', stdout: 'from Greeting x\n' });
    expect(packaged).toMatchObject({ state: 'succeeded', stdout: 'from org.example.Größe x\n' });
    expect(helped).toMatchObject({ state: 'succeeded', stdout: 'helped\n' });
    expect(clash).toMatchObject({ state: 'failed', stdout: '' });
    expect(clash.stderr).toContain('should be declared in a file named Greeting.java');
  }, 120_000);

  it('is judged, by a checker of the same kind', async () => {
    const checker = `public class Agrees { public static void main(String[] args) throws Exception {
      String out = new String(java.nio.file.Files.readAllBytes(java.nio.file.Path.of(args[1])));
      System.exit(out.startsWith("from Greeting") ? 0 : 1); } }`;
    const { body } = await cordon.postTo('/v1/submissions?wait=60', {
      runtime: 'java',
      source: hello('Greeting'),
      limits: LIMITS,
      tests: [
        { input: 'one\n', expected: '' },
        { input: 'two\n', expected: '' },
      ],
      checker: { kind: 'custom', runtime: 'java', source: checker },
    });
    const { verdict, compilation } = body as SubmissionDto;
    expect({ verdict, output: compilation?.output }).toEqual({ verdict: 'AC', output: '' });
  }, 120_000);

  it('runs for clients of Piston and of Judge0', async () => {
    const server = () => request(cordon.app.getHttpServer());
    const piston = await server()
      .post('/compat/piston/api/v2/execute')
      .set('authorization', KEY)
      .send({
        language: 'java',
        version: '*',
        files: [{ name: 'a.java', content: hello('Greeting') }],
        stdin: 'x',
        run_timeout: 30_000,
        run_cpu_time: 30_000,
        compile_timeout: 30_000,
        compile_cpu_time: 30_000,
      });
    expect(piston.body).toMatchObject({ compile: { code: 0 }, run: { code: 0, stdout: 'from Greeting x\n' } });
    const judge0 = await server()
      .post('/compat/judge0/submissions?wait=true')
      .set('X-Auth-Token', KEY)
      .send({
        language_id: 62,
        source_code: hello('Greeting'),
        stdin: 'x',
        cpu_time_limit: 15,
        wall_time_limit: 20,
        memory_limit: 512_000,
      });
    expect(judge0.body).toMatchObject({ status: { id: 3 }, stdout: 'from Greeting x\n' });
  }, 120_000);
});
