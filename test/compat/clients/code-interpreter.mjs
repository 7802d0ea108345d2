import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
// Older versions reach the interpreter at https://49999-ID.DOMAIN only: a domain and a certificate, not a URL of ours.
const PACKAGES = ['code-interpreter-2.8'];

const calls = [
  [
    'runCode: state persists, last value, streams',
    async ({ sandbox }) => {
      await sandbox.runCode('x = 20');
      const seen = [];
      const execution = await sandbox.runCode('print("out"); x + 22', { onStdout: ({ line }) => seen.push(line) });
      assert.equal(execution.text, '42');
      assert.equal(execution.logs.stdout.join(''), 'out\n');
      assert.equal(seen.join(''), 'out\n');
      assert.ok(execution.executionCount >= 2);
    },
  ],
  [
    'runCode: errors, stderr, subprocesses',
    async ({ sandbox }) => {
      const { error } = await sandbox.runCode('def f():\n    return 1 / 0\nf()');
      assert.equal(error.name, 'ZeroDivisionError');
      assert.match(error.traceback, /return 1 \/ 0/);
      const { logs } = await sandbox.runCode('import sys, os; print("e", file=sys.stderr); os.system("echo sub")');
      assert.match(logs.stderr.join(''), /e\n/);
      assert.match(logs.stdout.join(''), /sub\n/);
    },
  ],
  [
    'runCode: rich results',
    async ({ sandbox }) => {
      const code = 'class R:\n  def _repr_html_(self): return "<b>bold</b>"\n  def __repr__(self): return "R"\nR()';
      const { results } = await sandbox.runCode(code);
      assert.equal(results[0].html, '<b>bold</b>');
      assert.equal(results[0].text, 'R');
    },
  ],
  [
    'runCode: JavaScript, top-level await',
    async ({ sandbox }) => {
      await sandbox.runCode('const y = await Promise.resolve(6)', { language: 'javascript' });
      const { text } = await sandbox.runCode('y * 7', { language: 'javascript' });
      assert.equal(text, '42');
    },
  ],
  [
    'runCode: bash keeps variables, functions, directory',
    async ({ sandbox }) => {
      await sandbox.runCode('v="a  b"; f() { echo "f $v"; }; cd /usr', { language: 'bash' });
      const { logs, error } = await sandbox.runCode('f; pwd; echo e >&2', { language: 'bash' });
      assert.equal(logs.stdout.join(''), 'f a  b\n/usr\n');
      assert.equal(logs.stderr.join(''), 'e\n');
      assert.equal(error, undefined);
      const failed = await sandbox.runCode('(exit 3)', { language: 'bash' });
      assert.equal(failed.error.value, '3');
    },
  ],
  [
    'createCodeContext: apart from the others',
    async ({ sandbox }) => {
      const context = await sandbox.createCodeContext({ language: 'python', cwd: '/tmp' });
      const { text } = await sandbox.runCode('import os; os.getcwd()', { context });
      assert.equal(text, "'/tmp'");
      const { error } = await sandbox.runCode('x', { context });
      assert.equal(error.name, 'NameError');
      if (!sandbox.listCodeContexts) return 'no list in this version';
      assert.ok((await sandbox.listCodeContexts()).some(({ id }) => id === context.id));
      await sandbox.runCode('z = 1', { context });
      await sandbox.restartCodeContext(context);
      assert.equal((await sandbox.runCode('z', { context })).error.name, 'NameError');
      await sandbox.removeCodeContext(context);
    },
  ],
  [
    'runCode: envs, a language that is not there',
    async ({ sandbox }) => {
      const { text } = await sandbox.runCode('import os; os.environ["GIVEN"]', { envs: { GIVEN: 'here' } });
      assert.equal(text, "'here'");
      await assert.rejects(sandbox.runCode('x', { language: 'klingon' }), /400|Unsupported/);
      for (const language of ['r', 'java', 'typescript'])
        await assert.rejects(sandbox.runCode('x', { language }), /400|Unsupported language/);
    },
  ],
  [
    'files and commands beside it',
    async ({ sandbox }) => {
      await sandbox.files.write('data.txt', '1\n2\n3\n');
      const { text } = await sandbox.runCode('sum(int(line) for line in open("data.txt"))');
      assert.equal(text, '6');
      await sandbox.runCode('open("made.txt", "w").write("by code")');
      assert.equal((await sandbox.commands.run('cat made.txt')).stdout, 'by code');
    },
  ],
];

export const clients = PACKAGES.map((name) => ({
  name,
  version: require(`${name}/package.json`).version,
  open: async (context) => {
    process.env.E2B_API_URL = `${context.url}/compat/e2b`;
    process.env.E2B_SANDBOX_URL = `${context.url}/compat/e2b/sandbox`;
    process.env.E2B_API_KEY = context.key;
    const { Sandbox } = require(name);
    return { sandbox: await Sandbox.create({ apiKey: context.key, timeoutMs: 120_000 }) };
  },
  calls,
  close: ({ sandbox }) => sandbox?.kill(),
}));
