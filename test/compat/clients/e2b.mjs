import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const PACKAGES = ['e2b-2.7', 'e2b-2.19', 'e2b-2.35', 'e2b-2.51'];

const calls = [
  [
    'Sandbox.create, isRunning, getInfo',
    async (state) => {
      const { Sandbox, options } = state;
      state.sandbox = await Sandbox.create({
        ...options,
        timeoutMs: 120_000,
        metadata: { purpose: 'compat & more' },
        envs: { GREETING: 'hello' },
      });
      assert.equal(await state.sandbox.isRunning(), true);
      const info = await Sandbox.getInfo(state.sandbox.sandboxId, options);
      assert.deepEqual(info.metadata, { purpose: 'compat & more' });
      assert.ok(info.endAt.getTime() - Date.now() > 100_000);
      return state.sandbox.sandboxId;
    },
  ],
  [
    'commands.run: output, env, cwd, streaming',
    async ({ sandbox }) => {
      const seen = [];
      const result = await sandbox.commands.run('echo $GREETING $MORE; pwd; echo err >&2; whoami', {
        envs: { MORE: 'world' },
        onStdout: (text) => seen.push(text),
      });
      assert.equal(result.stdout, 'hello world\n/home/user\nuser\n');
      assert.equal(result.stderr, 'err\n');
      assert.equal(result.exitCode, 0);
      assert.equal(seen.join(''), result.stdout);
    },
  ],
  [
    'commands.run: failure, user root, cwd',
    async ({ sandbox }) => {
      await assert.rejects(sandbox.commands.run('echo no >&2; exit 3'), (error) => {
        assert.equal(error.exitCode, 3);
        assert.equal(error.stderr, 'no\n');
        return true;
      });
      const { stdout } = await sandbox.commands.run('id -u; pwd', { user: 'root', cwd: '/tmp' });
      assert.equal(stdout, '0\n/tmp\n');
    },
  ],
  [
    'commands.run: timeoutMs',
    async ({ sandbox }) => {
      await assert.rejects(sandbox.commands.run('sleep 30', { timeoutMs: 700 }), (error) => {
        assert.match(error.constructor.name, /Timeout/);
        return true;
      });
    },
  ],
  [
    'commands: background, list, connect, kill',
    async ({ sandbox }) => {
      const handle = await sandbox.commands.run('echo up; sleep 60', { background: true });
      const list = await sandbox.commands.list();
      assert.ok(list.some(({ pid, cmd }) => pid === handle.pid && cmd === '/bin/bash'));
      const other = await sandbox.commands.connect(handle.pid);
      assert.equal(await sandbox.commands.kill(handle.pid), true);
      await assert.rejects(handle.wait());
      await assert.rejects(other.wait());
      assert.equal(await sandbox.commands.kill(handle.pid), false);
    },
  ],
  [
    'commands.sendStdin',
    async ({ sandbox }) => {
      const handle = await sandbox.commands.run('read line; echo got $line', { background: true, stdin: true });
      await sandbox.commands.sendStdin(handle.pid, 'some text\n');
      assert.equal((await handle.wait()).stdout, 'got some text\n');
    },
  ],
  [
    'files: write, read in all formats, many at once',
    async ({ sandbox }) => {
      const info = await sandbox.files.write('notes/a.txt', 'tëxt');
      assert.equal(info.path, '/home/user/notes/a.txt');
      assert.equal(await sandbox.files.read('/home/user/notes/a.txt'), 'tëxt');
      const bytes = new Uint8Array(300_000).map((_, index) => index % 251);
      await sandbox.files.write('/tmp/b.bin', bytes.buffer);
      assert.deepEqual(await sandbox.files.read('/tmp/b.bin', { format: 'bytes' }), bytes);
      await sandbox.files.write('empty', '');
      assert.equal(await sandbox.files.read('empty'), '');
      const many = await sandbox.files.write([
        { path: 'm/1', data: 'one' },
        { path: 'm/2', data: 'two' },
      ]);
      assert.deepEqual(
        many.map(({ path }) => path),
        ['/home/user/m/1', '/home/user/m/2'],
      );
      await assert.rejects(sandbox.files.read('nothing'), (error) => {
        assert.match(error.constructor.name, /NotFound/);
        return true;
      });
    },
  ],
  [
    'files: list, exists, makeDir, rename, getInfo, remove',
    async ({ sandbox }) => {
      assert.deepEqual((await sandbox.files.list('m')).map(({ name, type }) => `${name} ${type}`).sort(), [
        '1 file',
        '2 file',
      ]);
      assert.equal(await sandbox.files.makeDir('deep/er'), true);
      assert.equal(await sandbox.files.makeDir('deep/er'), false);
      assert.equal(await sandbox.files.exists('deep/er'), true);
      const moved = await sandbox.files.rename('m/1', 'deep/er/one');
      assert.equal(moved.path, '/home/user/deep/er/one');
      const entry = await sandbox.files.getInfo('deep/er/one');
      assert.deepEqual([entry.size, entry.owner, entry.permissions], [3, 'user', '-rw-r--r--']);
      await sandbox.files.remove('deep');
      assert.equal(await sandbox.files.exists('deep'), false);
    },
  ],
  [
    'files: signed upload and download URLs',
    async ({ sandbox }) => {
      const form = new FormData();
      form.append('file', new Blob(['by url']), 'signed.txt');
      const to = await sandbox.uploadUrl('signed.txt', { useSignatureExpiration: 60 });
      const headers = { 'e2b-sandbox-id': sandbox.sandboxId };
      const target = (url) => `${process.env.CORDON_URL}/compat/e2b/sandbox${url.slice(url.indexOf('/files'))}`;
      assert.equal((await fetch(target(to), { method: 'POST', body: form, headers })).status, 200);
      const from = await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: 60 });
      assert.equal(await (await fetch(target(from), { headers })).text(), 'by url');
      const forged = target(from).replace('signed.txt', 'notes');
      assert.equal((await fetch(forged, { headers })).status, 401);
    },
  ],
  [
    'files.watchDir',
    async ({ sandbox }) => {
      await sandbox.files.makeDir('watched');
      const seen = [];
      const handle = await sandbox.files.watchDir('watched', ({ type, name }) => seen.push(`${type} ${name}`));
      await sandbox.commands.run('cd watched; echo 1 > a; mv a b; rm b');
      for (let tries = 0; !seen.includes('remove b') && tries < 200; tries++)
        await new Promise((resolve) => setTimeout(resolve, 20));
      await handle.stop();
      for (const wanted of ['create a', 'write a', 'rename a', 'create b', 'remove b'])
        assert.ok(seen.includes(wanted), `${wanted} in ${seen.join(', ')}`);
    },
  ],
  [
    'files: CreateWatcher, GetWatcherEvents, RemoveWatcher',
    async ({ sandbox }) => {
      // Clients in other languages have no streams here; this one has the calls, though nothing of its own makes them.
      const { rpc } = sandbox.files;
      await sandbox.files.makeDir('polled');
      const { watcherId } = await rpc.createWatcher({ path: 'polled', recursive: true });
      await sandbox.commands.run('cd polled; mkdir d; echo 1 > d/a; rm d/a');
      const seen = [];
      for (let tries = 0; !seen.includes('3 d/a') && tries < 200; tries++) {
        const { events } = await rpc.getWatcherEvents({ watcherId });
        // EventType: CREATE 1, WRITE 2, REMOVE 3
        seen.push(...events.map(({ type, name }) => `${type} ${name}`));
      }
      assert.deepEqual([seen[0], seen.at(-1)], ['1 d', '3 d/a']);
      await rpc.removeWatcher({ watcherId });
      await assert.rejects(rpc.getWatcherEvents({ watcherId }), /not_found/);
    },
  ],
  [
    'pty: create, sendInput, resize, kill',
    async ({ sandbox }) => {
      let screen = '';
      let look = () => {};
      const pty = await sandbox.pty.create({
        cols: 90,
        rows: 20,
        onData: (bytes) => {
          screen += Buffer.from(bytes).toString();
          look();
        },
      });
      const see = (pattern) =>
        new Promise((resolve) => {
          look = () => pattern.test(screen) && resolve();
          look();
        });
      await sandbox.pty.sendInput(pty.pid, new TextEncoder().encode('stty size\n'));
      await see(/20 90/);
      await sandbox.pty.resize(pty.pid, { cols: 120, rows: 40 });
      await sandbox.pty.sendInput(pty.pid, new TextEncoder().encode('stty size\n'));
      await see(/40 120/);
      assert.equal(await sandbox.pty.kill(pty.pid), true);
    },
  ],
  [
    'a server in the sandbox, by its port',
    async ({ sandbox, context }) => {
      await sandbox.commands.run('python3 -m http.server 8123 --bind 127.0.0.1', {
        background: true,
        cwd: '/home/user/notes',
      });
      const headers = {
        'e2b-sandbox-id': sandbox.sandboxId,
        'e2b-sandbox-port': '8123',
        'e2b-traffic-access-token': sandbox.trafficAccessToken ?? sandbox.envdAccessToken,
      };
      for (let tries = 0; ; tries++) {
        const answer = await fetch(`${context.url}/compat/e2b/sandbox/a.txt`, { headers });
        if (answer.status === 502 && tries < 100) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          continue;
        }
        assert.equal(await answer.text(), 'tëxt');
        return sandbox.getHost(8123);
      }
    },
  ],
  [
    'Sandbox.list, connect, setTimeout',
    async ({ Sandbox, sandbox, options }) => {
      const paginator = Sandbox.list({ ...options, query: { metadata: { purpose: 'compat & more' } } });
      const found = await paginator.nextItems();
      assert.ok(found.some(({ sandboxId }) => sandboxId === sandbox.sandboxId));
      assert.equal((await Sandbox.list({ ...options, query: { metadata: { purpose: 'x' } } }).nextItems()).length, 0);
      const again = await Sandbox.connect(sandbox.sandboxId, options);
      assert.equal((await again.commands.run('echo again')).stdout, 'again\n');
      await sandbox.setTimeout(30_000);
      const { endAt } = await Sandbox.getInfo(sandbox.sandboxId, options);
      assert.ok(endAt.getTime() - Date.now() <= 31_000);
    },
  ],
  [
    'what is not there: unknown template, pause, wrong key',
    async ({ Sandbox, sandbox, options }) => {
      await assert.rejects(Sandbox.create('no-such-template', options), /not found/);
      const pause = sandbox.pause ?? sandbox.betaPause;
      if (pause) await assert.rejects(pause.call(sandbox), /not implemented/);
      await assert.rejects(Sandbox.create({ ...options, apiKey: `e2b_${'0'.repeat(40)}` }), (error) => {
        assert.match(error.constructor.name, /Authentication/);
        return true;
      });
    },
  ],
  [
    'kill: gone for everybody',
    async ({ Sandbox, sandbox, options }) => {
      // Older ones answer nothing.
      assert.notEqual(await sandbox.kill(), false);
      assert.equal(await sandbox.isRunning(), false);
      await assert.rejects(Sandbox.getInfo(sandbox.sandboxId, options), (error) => {
        assert.match(error.constructor.name, /NotFound/);
        return true;
      });
      await assert.rejects(sandbox.commands.run('echo no'));
      assert.equal(await Sandbox.kill(sandbox.sandboxId, options), false);
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
    return { Sandbox, context, options: { apiKey: context.key } };
  },
  calls,
  close: ({ sandbox }) => sandbox?.kill(),
}));
