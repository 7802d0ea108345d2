import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { KEY, useDeployment } from '../e2e/harness.js';

const deployment = useDeployment({ workers: 1 });

const server = () => request(deployment.app.getHttpServer());
const execute = async (body: object, status = 200, path = '/api/v2/execute') => {
  const response = await server().post(path).set('authorization', KEY).send(body);
  expect(response.status, JSON.stringify(response.body)).toBe(status);
  return response.body;
};
const python = (content: string, more: object = {}) =>
  execute({ language: 'python', version: '3.x', files: [{ content }], ...more });

describe('Piston: POST /execute', () => {
  it('answers as Piston does, under all its paths', async () => {
    const body = { language: 'py', version: '*', files: [{ name: 'my.py', content: 'print(input())' }], stdin: 'hi' };
    for (const path of ['/compat/piston/api/v2/execute', '/api/v2/execute', '/api/v2/piston/execute']) {
      const answer = await execute(body, 200, path);
      expect(answer).toMatchObject({ language: 'python', version: expect.stringMatching(/^3\.\d+\.\d+$/) });
      expect(answer.run).toMatchObject({
        stdout: 'hi\n',
        stderr: '',
        output: 'hi\n',
        code: 0,
        signal: null,
        status: null,
      });
      expect(answer.run.wall_time).toBeGreaterThan(0);
      expect(answer.compile).toBeUndefined();
    }
  });

  it('keeps the order of both streams in output', async () => {
    const { run } = await python(
      'import sys, time\nfor i in range(3):\n  print(i, flush=True); time.sleep(0.05)\n  print("e", i, file=sys.stderr, flush=True); time.sleep(0.05)',
    );
    expect(run).toMatchObject({ stdout: '0\n1\n2\n', stderr: 'e 0\ne 1\ne 2\n', output: '0\ne 0\n1\ne 1\n2\ne 2\n' });
  });

  it('passes arguments, adds the newline, unpacks files', async () => {
    const { run } = await execute({
      language: 'python',
      version: '3',
      files: [
        {
          content:
            'import sys, data.b\nprint(sys.argv[1:], repr(sys.stdin.read()), open("hex.bin", "rb").read(), data.b.x)',
        },
        { name: 'hex.bin', content: '00ff', encoding: 'hex' },
        { name: 'data/b.py', content: Buffer.from('x = 5').toString('base64'), encoding: 'base64' },
      ],
      args: ['1', 'two words', 3],
      stdin: 'no end',
    });
    expect(run.stdout).toBe("['1', 'two words', '3'] 'no end\\n' b'\\x00\\xff' 5\n");
  });

  it.each([
    ['RE', 'raise SystemExit(3)', {}, { code: 3, signal: null }],
    ['SG', 'import os; os.abort()', {}, { code: null, signal: 'SIGABRT' }],
    ['TO', 'while True: pass', { run_timeout: 400 }, { code: null, signal: 'SIGKILL' }],
    ['TO', 'while True: pass', { run_cpu_time: 300 }, { code: null, signal: 'SIGKILL' }],
    ['OL', 'while True: print("x" * 100000)', {}, { code: null, signal: 'SIGKILL' }],
  ])('status %s: %s', async (status, content, more, expected) => {
    const { run } = await python(content, more);
    expect(run).toMatchObject({ status, ...expected });
  });

  it('compiles apart from the run', async () => {
    const c = (content: string) => execute({ language: 'c', version: '*', files: [{ name: 'x.c', content }] });
    const good = await c('#include <stdio.h>\nint main(void) { puts("ran"); return 4; }');
    expect(good.compile).toMatchObject({ code: 0, status: null });
    expect(good.run).toMatchObject({ stdout: 'ran\n', code: 4, status: 'RE' });
    const bad = await c('int main( {');
    expect(bad.compile.code).toBe(1);
    expect(bad.compile.stderr).toContain('error');
    expect(bad.run).toEqual(bad.compile);
  });

  it('takes limits of -1, and JSON that says it is text', async () => {
    const response = await server()
      .post('/api/v2/piston/execute')
      .set('authorization', `Bearer ${KEY}`)
      .set('content-type', 'text/plain')
      .send(
        JSON.stringify({
          language: 'python',
          version: '*',
          files: [{ content: 'print(1)' }],
          compile_memory_limit: -1,
          run_memory_limit: -1,
          run_timeout: -1,
        }),
      );
    expect(response.body.run).toMatchObject({ stdout: '1\n', code: 0 });
  });

  it.each([
    [{ version: '*', files: [] }, 'language is required as a string'],
    [{ language: 'python', files: [] }, 'version is required as a string'],
    [{ language: 'python', version: '*' }, 'files is required as an array'],
    [{ language: 'python', version: '*', files: [{}] }, 'files[0].content is required as a string'],
    [{ language: 'cobol', version: '9', files: [{ content: '' }] }, 'cobol-9 runtime is unknown'],
    [{ language: 'python', version: '2.x', files: [{ content: '' }] }, 'python-2.x runtime is unknown'],
    [{ language: 'python', version: '*', files: [] }, 'files must include at least one utf8 encoded file'],
    [
      { language: 'python', version: '*', files: [{ content: '' }], run_timeout: 'x' },
      'If specified, run_timeout must be a number',
    ],
    [
      { language: 'python', version: '*', files: [{ content: '' }], run_timeout: 10_000_000 },
      'run_timeout cannot exceed the configured limit of 300000',
    ],
    [
      { language: 'python', version: '*', files: [{ content: '' }, { name: '../x', content: '' }] },
      'files[1].name leaves the work directory',
    ],
  ])('refuses %j', async (body, message) => {
    expect(await execute(body, 400)).toEqual({ message });
  });

  it('has both streams in the order in which they were written, and whole numbers', async () => {
    const source = 'import os\nfor i in range(9): os.write(1 + i % 2, b"%d" % i)';
    const { run } = await execute({ language: 'python', version: '*', files: [{ content: source }] });
    expect(run).toMatchObject({ stdout: '02468', stderr: '1357', output: '012345678' });
    for (const name of ['cpu_time', 'wall_time', 'memory']) expect(Number.isInteger(run[name]), name).toBe(true);
  });

  it('has its own shape for errors of the service, too', async () => {
    const none = await server().post('/api/v2/execute').send({});
    expect([none.status, none.body]).toEqual([401, { message: 'send "Authorization: <key>"' }]);
    const broken = await server()
      .post('/api/v2/execute')
      .set('authorization', KEY)
      .set('content-type', 'application/json')
      .send('{broken');
    expect([broken.status, Object.keys(broken.body)]).toEqual([400, ['message']]);
    const nowhere = await server().get('/api/v2/nowhere').set('authorization', KEY);
    expect([nowhere.status, nowhere.body]).toEqual([404, { message: 'Not Found' }]);
    for (const method of ['post', 'delete'] as const) {
      const packages = await server()[method]('/api/v2/packages').set('authorization', KEY).send({ language: 'x' });
      expect([packages.status, Object.keys(packages.body)]).toEqual([403, ['message']]);
    }
  });
});

describe('Piston: GET /runtimes and /packages', () => {
  it('list what the workers found', async () => {
    const { body } = await server().get('/api/v2/runtimes').set('authorization', KEY).expect(200);
    const found = body.find(({ language }: { language: string }) => language === 'python');
    expect(found.aliases).toContain('py');
    const packages = await server().get('/api/v2/piston/packages').set('authorization', KEY).expect(200);
    expect(packages.body).toContainEqual({ language: 'python', language_version: found.version, installed: true });
  });
});
