import { spawnSync } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const CLI = fileURLToPath(new URL('../../apps/cli/dist/main.js', import.meta.url));
const TOOLS = [
  'create_sandbox',
  'delete_sandbox',
  'exec_in_sandbox',
  'get_audit',
  'list_files',
  'list_runtimes',
  'list_sandboxes',
  'read_file',
  'run_code',
  'run_command',
  'write_file',
];

interface Answer {
  readonly isError: boolean;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: each tool has a shape of its own
  readonly data: any;
}

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<Answer> {
  const { isError, content, structuredContent } = await client.callTool({ name, arguments: args });
  const [first] = content;
  return { isError: isError === true, text: first?.type === 'text' ? first.text : '', data: structuredContent };
}

const newClient = (): Client => new Client({ name: 'test', version: '1' });

async function overHttp(key: string): Promise<Client> {
  const client = newClient();
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${cordon.port}/mcp`), {
      requestInit: { headers: { authorization: `Bearer ${key}` } },
    }),
  );
  return client;
}

async function overStdio(env: Record<string, string>, options: string[] = []): Promise<Client> {
  const client = newClient();
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name, value]) => value !== undefined && !name.startsWith('CORDON_')),
  ) as Record<string, string>;
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [CLI, 'mcp', ...options],
      env: { ...inherited, ...env },
      stderr: 'inherit',
    }),
  );
  return client;
}

/** What any client sees, whatever is behind. */
function tools(connect: () => Promise<Client>): void {
  let client: Client;
  beforeAll(async () => {
    client = await connect();
  });
  afterAll(() => client?.close());

  it('are described, with schemas and what they do', async () => {
    const { tools: all } = await client.listTools();
    expect(all.map(({ name }) => name).sort()).toEqual(TOOLS);
    for (const tool of all) {
      expect(tool.description?.length, tool.name).toBeGreaterThan(25);
      expect(tool.annotations?.readOnlyHint, tool.name).toBeTypeOf('boolean');
      expect(tool.outputSchema, tool.name).toBeDefined();
    }
    expect(client.getInstructions()).toContain('create_sandbox');
  });

  it('run programs and commands, and tell how they ended', async () => {
    expect((await call(client, 'list_runtimes')).data.runtimes.map(({ id }: { id: string }) => id)).toContain('python');
    const ran = await call(client, 'run_code', {
      runtime: 'python',
      source: 'import sys\nprint(input()[::-1], open("data/in.txt").read(), sys.argv[1])\nsys.exit(3)',
      stdin: 'olleh',
      args: ['arg'],
      files: { 'data/in.txt': 'from a file' },
    });
    expect(ran).toMatchObject({
      isError: false,
      data: { state: 'failed', exitCode: 3, stdout: 'hello from a file arg\n', truncated: false },
    });
    expect(ran.text).toContain('exit code 3');
    const command = await call(client, 'run_command', {
      command: 'echo out; echo err >&2; echo $1 $GIVEN',
      args: ['x'],
      env: { GIVEN: 'y' },
    });
    expect(command.data).toMatchObject({ state: 'succeeded', stdout: 'out\nx y\n', stderr: 'err\n' });
    const late = await call(client, 'run_command', { command: 'sleep 20', timeout_ms: 300 });
    expect(late.data).toMatchObject({ state: 'timed_out' });
  });

  it('cut what is too long, and say so', async () => {
    const long = await call(client, 'run_command', { command: 'head -c 300000 /dev/zero | tr "\\0" x; echo end' });
    expect(long.data.truncated).toBe(true);
    expect(long.data.stdout.length).toBeLessThan(21_000);
    expect(long.data.stdout).toMatch(/^x+\n\[… 280004 characters left out\. .*\]\nx+end\n$/);
  });

  it('keep a sandbox with its files', async () => {
    const { data: made } = await call(client, 'create_sandbox', { audit: 'full', env: { GREETING: 'hello' } });
    const sandbox_id = made.id;
    expect((await call(client, 'list_sandboxes')).data.sandboxes[0]).toMatchObject({
      id: sandbox_id,
      state: 'running',
    });
    const content = `äöü ${'z'.repeat(100)}\n`;
    expect((await call(client, 'write_file', { sandbox_id, path: 'dir/text', content })).data.bytes).toBe(108);
    await call(client, 'write_file', { sandbox_id, path: 'dir/bin', content: '/w==', encoding: 'base64' });
    expect((await call(client, 'read_file', { sandbox_id, path: 'dir/text' })).data).toEqual({
      content,
      encoding: 'utf8',
      size: 108,
      nextOffset: null,
    });
    const cut = await call(client, 'read_file', { sandbox_id, path: 'dir/text', length: 3 });
    expect(cut.data).toMatchObject({ content: 'ä', nextOffset: 2 });
    expect(cut.text).toContain('offset=2');
    expect((await call(client, 'read_file', { sandbox_id, path: 'dir/bin' })).data).toMatchObject({
      content: '/w==',
      encoding: 'base64',
    });
    const { data: listed } = await call(client, 'list_files', { sandbox_id, path: 'dir' });
    expect(listed.entries.map(({ name }: { name: string }) => name).sort()).toEqual(['bin', 'text']);
    const ran = await call(client, 'exec_in_sandbox', {
      sandbox_id,
      command: 'cat; pwd; echo $GREETING; id -u',
      stdin: 'in\n',
      cwd: 'dir',
      as_root: true,
    });
    expect(ran.data).toMatchObject({ exitCode: 0, stdout: 'in\n/work/dir\nhello\n0\n', timedOut: false });
    expect(
      (await call(client, 'exec_in_sandbox', { sandbox_id, command: 'sleep 20', timeout_ms: 200 })).data,
    ).toMatchObject({ timedOut: true });
    const audit = await call(client, 'get_audit', {
      id: sandbox_id,
      syscalls: ['openat', 'open'],
      failed_only: true,
      limit: 2,
    });
    expect(audit.data.calls).toHaveLength(2);
    expect(audit.data.matched).toBeGreaterThan(2);
    expect(audit.text).toContain('more match');
    const theirs = { sandbox_id, path: '/root/note' };
    for (const [tool, args] of [
      ['write_file', { ...theirs, content: 'roots' }],
      ['read_file', theirs],
      ['list_files', { ...theirs, path: '/root' }],
    ] as const) {
      const refused = await call(client, tool, args);
      expect(refused).toMatchObject({ isError: true, text: expect.stringMatching(/EACCES.*as_root/) });
      expect((await call(client, tool, { ...args, as_root: true })).isError).toBe(false);
    }
    const owner = { sandbox_id, command: 'stat -c %u:%s /root/note', as_root: true };
    expect((await call(client, 'exec_in_sandbox', owner)).data.stdout).toBe('0:5\n');
    const missing = await call(client, 'read_file', { sandbox_id, path: 'none' });
    expect(missing).toMatchObject({ isError: true, text: expect.stringMatching(/ENOENT.*list_files/) });
    expect((await call(client, 'delete_sandbox', { sandbox_id })).data).toEqual({ id: sandbox_id, deleted: true });
    const gone = await call(client, 'exec_in_sandbox', { sandbox_id, command: 'true' });
    expect(gone).toMatchObject({ isError: true, text: expect.stringMatching(/create_sandbox|list_sandboxes/) });
  });

  it('show the system calls of a run', async () => {
    const { data } = await call(client, 'run_command', { command: 'echo x > written', audit: 'full' });
    const audit = await call(client, 'get_audit', { id: data.id, syscalls: ['openat', 'open', 'creat'] });
    expect(audit.text).toMatch(/open(at)?\(.*"written", .*O_CREAT.*\) = \d/);
    const forked = await call(client, 'run_command', { command: 'cat /dev/null; /bin/true', audit: 'full' });
    const theirs = await call(client, 'get_audit', { id: forked.data.id, programs: ['cat'] });
    expect(new Set(theirs.data.calls.map(({ program }: { program: string }) => program))).toEqual(new Set(['cat']));
    const nobodys = await call(client, 'get_audit', { id: forked.data.id, programs: ['none'] });
    expect(nobodys.data).toEqual({ calls: [], matched: 0 });
    expect(await call(client, 'get_audit', { id: 'exe_nothing' })).toMatchObject({ isError: true });
  });

  it('refuse nonsense with what to do', async () => {
    const unknown = await call(client, 'run_code', { runtime: 'klingon', source: '' });
    expect(unknown).toMatchObject({ isError: true, text: expect.stringContaining('list_runtimes') });
    expect((await call(client, 'run_code', { runtime: 5 })).isError).toBe(true);
    expect((await call(client, 'exec_in_sandbox', { sandbox_id: 'sbx_none', command: 'true' })).isError).toBe(true);
  });
}

describe('MCP tools over HTTP', () => {
  tools(() => overHttp(KEY));

  it('need a key, are one tenant’s, and heed its scopes', async () => {
    await expect(overHttp('wrong')).rejects.toThrow();
    const mine = await overHttp(KEY);
    const theirs = await overHttp(OTHER_KEY);
    const { data } = await call(mine, 'create_sandbox');
    expect((await call(theirs, 'delete_sandbox', { sandbox_id: data.id })).isError).toBe(true);
    await call(mine, 'delete_sandbox', { sandbox_id: data.id });
    const made = await cordon.postTo('/v1/keys', { name: 'runs only', scopes: ['run'] });
    const runner = await overHttp(made.body.key);
    expect((await call(runner, 'run_command', { command: 'echo ran' })).data.stdout).toBe('ran\n');
    expect(await call(runner, 'create_sandbox')).toMatchObject({
      isError: true,
      text: expect.stringContaining('scope'),
    });
    const judge = await cordon.postTo('/v1/keys', { name: 'judges only', scopes: ['judge'] });
    await expect(overHttp(judge.body.key)).rejects.toThrow();
    await Promise.all([mine.close(), theirs.close(), runner.close()]);
  });

  it('are not for pages from elsewhere', async () => {
    const ask = (origin?: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const client = httpRequest(
          {
            host: '127.0.0.1',
            port: cordon.port,
            path: '/mcp',
            method: 'POST',
            headers: {
              authorization: `Bearer ${KEY}`,
              'content-type': 'application/json',
              accept: 'application/json, text/event-stream',
              ...(origin ? { origin } : {}),
            },
          },
          (response) => resolve(response.resume().statusCode ?? 0),
        );
        client.on('error', reject);
        client.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }));
      });
    expect(await ask()).toBe(200);
    expect(await ask('http://localhost:6274')).toBe(200);
    expect(await ask('http://evil.example')).toBe(403);
    expect(await ask('null')).toBe(403);
  });

  it('end the run of a client that leaves', async () => {
    const client = await overHttp(KEY);
    const { data } = await call(client, 'create_sandbox');
    const running = client
      .callTool({ name: 'exec_in_sandbox', arguments: { sandbox_id: data.id, command: 'sleep 95' } })
      .catch(() => undefined);
    const names = async (): Promise<string[]> =>
      (await cordon.get(`/v1/sandboxes/${data.id}/processes`)).body.items.map(({ name }: { name: string }) => name);
    const until = async (there: boolean): Promise<void> => {
      const end = Date.now() + 5_000;
      while ((await names()).includes('sleep') !== there) expect(Date.now()).toBeLessThan(end);
    };
    await until(true);
    await client.close();
    await running;
    await until(false);
    await cordon.delete(`/v1/sandboxes/${data.id}`);
  });
});

describe('MCP tools of `cordon mcp`, with a server', () => {
  tools(() => overStdio({ CORDON_URL: `http://127.0.0.1:${cordon.port}`, CORDON_API_KEY: KEY }));
});

describe('MCP tools of `cordon mcp`, without any server', () => {
  tools(() => overStdio({}));
});

describe('sandboxes of `cordon mcp` that nobody uses', () => {
  it.each([
    [
      'with a server',
      (): Record<string, string> => ({ CORDON_URL: `http://127.0.0.1:${cordon.port}`, CORDON_API_KEY: KEY }),
    ],
    ['without any', (): Record<string, string> => ({})],
  ])(
    '%s: end after --idle, not while a command runs',
    async (_what, env) => {
      const client = await overStdio(env(), ['--idle', '1s']);
      try {
        const { tools: all } = await client.listTools();
        expect(all.find(({ name }) => name === 'create_sandbox')?.description).toContain('idle for 1 s');
        const busy = await call(client, 'create_sandbox');
        const running = call(client, 'exec_in_sandbox', {
          sandbox_id: busy.data.id,
          command: 'until [ -e /tmp/stop ]; do sleep 0.05; done; echo done',
        });
        const idle = await call(client, 'create_sandbox');
        const alive = async (): Promise<string[]> =>
          (await call(client, 'list_sandboxes')).data.sandboxes
            .filter(({ state }: { state: string }) => state === 'running')
            .map(({ id }: { id: string }) => id);
        await expect.poll(alive, { timeout: 20_000 }).not.toContain(idle.data.id);
        expect(await alive()).toContain(busy.data.id);
        await call(client, 'write_file', { sandbox_id: busy.data.id, path: '/tmp/stop', content: '' });
        expect((await running).data).toMatchObject({ stdout: 'done\n', exitCode: 0 });
        await expect.poll(alive, { timeout: 20_000 }).not.toContain(busy.data.id);
      } finally {
        await client.close();
      }
    },
    60_000,
  );

  it('other options are told', async () => {
    for (const options of [['--idle'], ['--idle', 'x'], ['--idle', '48h'], ['--other']]) {
      const { status, stderr } = spawnSync(process.execPath, [CLI, 'mcp', ...options], { encoding: 'utf8' });
      expect([status, stderr.includes('--idle')]).toEqual([2, true]);
    }
  });
});
