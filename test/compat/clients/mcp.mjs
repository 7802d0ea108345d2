import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const NAME = '@modelcontextprotocol/inspector';
const ROOT = join(import.meta.dirname, '..');
const PACKAGE = join(ROOT, 'node_modules', NAME);
const CLI = join(ROOT, '..', '..', 'scripts', 'cordon');
const manifest = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
const PROGRAM = join(PACKAGE, Object.values(manifest.bin)[0]);
const run = promisify(execFile);

/** One call of `inspector --cli`; its answer is JSON on stdout. */
async function inspect(target, method, tool, args = {}) {
  const words = ['--cli', ...target, '--method', method];
  if (tool) words.push('--tool-name', tool);
  for (const [name, value] of Object.entries(args)) words.push('--tool-arg', `${name}=${value}`);
  const { stdout } = await run(process.execPath, [PROGRAM, ...words], { timeout: 50_000 });
  return JSON.parse(stdout);
}

const calls = [
  [
    'tools/list',
    async (target) => {
      const { tools } = await inspect(target, 'tools/list');
      assert.ok(tools.some(({ name }) => name === 'run_code'));
      return `${tools.length} tools`;
    },
  ],
  [
    'tools/call run_code',
    async (target) => {
      const args = { runtime: 'python', source: 'print(6 * 7)' };
      const { structuredContent } = await inspect(target, 'tools/call', 'run_code', args);
      assert.equal(structuredContent.stdout, '42\n');
      assert.equal(structuredContent.exitCode, 0);
    },
  ],
  [
    'tools/call run_command',
    async (target) => {
      const answer = await inspect(target, 'tools/call', 'run_command', { command: 'echo hello > f; cat f' });
      assert.equal(answer.structuredContent.stdout, 'hello\n');
    },
  ],
];

export const clients = [
  {
    name: 'mcp inspector, http',
    version: manifest.version,
    open: ({ url, key }) => [`${url}/mcp`, '--transport', 'http', '--header', `Authorization: Bearer ${key}`],
    calls,
  },
  {
    name: 'mcp inspector, stdio',
    version: manifest.version,
    open: () => [CLI, 'mcp'],
    calls,
  },
];
