import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const NAME = '@alibaba-group/opensandbox';
// The package does not offer its package.json.
const { version } = JSON.parse(readFileSync(new URL(`../node_modules/${NAME}/package.json`, import.meta.url), 'utf8'));

const textOf = (messages) => messages.map(({ text }) => text).join('|');
/** What a refusal is to this client. */
const refused = (status, code) => (error) => error.statusCode === status && error.error.code === code;

async function open({ url, key }) {
  const { Sandbox, SandboxManager, ConnectionConfig } = require(NAME);
  const connectionConfig = new ConnectionConfig({ domain: `${url}/compat/opensandbox`, apiKey: key });
  return { Sandbox, SandboxManager, ConnectionConfig, connectionConfig, url, sandbox: null };
}

export const clients = [
  {
    name: NAME,
    version,
    open,
    close: ({ sandbox }) => sandbox?.kill(),
    calls: [
      [
        'Sandbox.create',
        async (state) => {
          state.sandbox = await state.Sandbox.create({
            connectionConfig: state.connectionConfig,
            image: 'ubuntu',
            timeoutSeconds: 300,
            env: { COLOUR: 'blue' },
            metadata: { team: 'compat', run: String(process.pid) },
            resource: { cpu: '1', memory: '512Mi' },
          });
          return state.sandbox.id;
        },
      ],
      ['isHealthy', async ({ sandbox }) => assert.equal(await sandbox.isHealthy(), true)],
      [
        'getInfo',
        async ({ sandbox }) => {
          const info = await sandbox.getInfo();
          assert.equal(info.status.state, 'Running');
          assert.equal(info.metadata.team, 'compat');
          assert.deepEqual(info.entrypoint, ['tail', '-f', '/dev/null']);
          assert.ok(info.expiresAt > info.createdAt);
        },
      ],
      [
        'commands.run',
        async ({ sandbox }) => {
          const run = await sandbox.commands.run('echo one; echo two >&2; echo "$COLOUR $WORD"; pwd', {
            envs: { WORD: 'sky' },
            workingDirectory: '/tmp',
          });
          assert.equal(textOf(run.logs.stdout), 'one|blue sky|/tmp');
          assert.equal(textOf(run.logs.stderr), 'two');
          assert.equal(run.exitCode, 0);
          assert.match(run.id, /^cmd-/);
        },
      ],
      [
        'commands.run: exit code',
        async ({ sandbox }) => {
          const run = await sandbox.commands.run('exit 3');
          assert.equal(run.exitCode, 3);
          assert.equal(run.error.name, 'CommandExecError');
        },
      ],
      [
        'commands.run: handlers, as it comes',
        async ({ sandbox }) => {
          const seen = [];
          await sandbox.commands.run('echo a; sleep 0.5; echo b', undefined, {
            onStdout: ({ text }) => seen.push([text, Date.now()]),
          });
          assert.deepEqual(
            seen.map(([text]) => text),
            ['a', 'b'],
          );
          assert.ok(seen[1][1] - seen[0][1] > 300);
        },
      ],
      [
        'commands.run: timeout',
        async ({ sandbox }) => {
          const run = await sandbox.commands.run('sleep 30', { timeoutSeconds: 1 });
          assert.equal(run.exitCode, -1);
        },
      ],
      [
        'commands.run: uid',
        async ({ sandbox }) => {
          assert.equal(textOf((await sandbox.commands.run('id -u')).logs.stdout), '0');
          assert.equal(textOf((await sandbox.commands.run('id -u', { uid: 1000 })).logs.stdout), '1000');
        },
      ],
      [
        'commands in the background: status, logs, interrupt',
        async ({ sandbox }) => {
          const { id } = await sandbox.commands.run('echo begun; sleep 60', { background: true });
          let logs = await sandbox.commands.getBackgroundCommandLogs(id);
          while (logs.content === '') logs = await sandbox.commands.getBackgroundCommandLogs(id);
          assert.equal(logs.content, 'begun\n');
          assert.equal((await sandbox.commands.getBackgroundCommandLogs(id, logs.cursor)).content, '');
          const running = await sandbox.commands.getCommandStatus(id);
          assert.deepEqual([running.running, running.exitCode], [true, null]);
          await sandbox.commands.interrupt(id);
          const ended = await sandbox.commands.getCommandStatus(id);
          assert.deepEqual([ended.running, ended.exitCode], [false, -1]);
        },
      ],
      [
        'files.writeFiles, readFile',
        async ({ sandbox }) => {
          await sandbox.files.writeFiles([
            { path: '/tmp/files/a/one.txt', data: 'one\ntwo\nthree\n', mode: 640 },
            { path: '/tmp/files/a/two.bin', data: new Uint8Array([0, 255, 10, 13]) },
          ]);
          assert.equal(await sandbox.files.readFile('/tmp/files/a/one.txt'), 'one\ntwo\nthree\n');
          assert.deepEqual([...(await sandbox.files.readBytes('/tmp/files/a/two.bin'))], [0, 255, 10, 13]);
          assert.equal(await sandbox.files.readFile('/tmp/files/a/one.txt', { range: 'bytes=4-6' }), 'two');
          assert.equal(await sandbox.files.readFile('/tmp/files/a/one.txt', { offset: 1, limit: 1 }), 'two\n');
        },
      ],
      [
        'files.writeFiles: a stream, and back',
        async ({ sandbox }) => {
          const chunk = new Uint8Array(1 << 20).fill(7);
          async function* many() {
            for (let count = 0; count < 8; count++) yield chunk;
          }
          await sandbox.files.writeFiles([{ path: '/tmp/files/large', data: many() }]);
          let bytes = 0;
          for await (const piece of sandbox.files.readBytesStream('/tmp/files/large')) bytes += piece.length;
          assert.equal(bytes, 8 << 20);
        },
      ],
      [
        'files.getFileInfo',
        async ({ sandbox }) => {
          const info = (await sandbox.files.getFileInfo(['/tmp/files/a/one.txt']))['/tmp/files/a/one.txt'];
          assert.deepEqual([info.size, info.mode, info.owner, info.type], [14, 640, 'root', 'file']);
          await assert.rejects(sandbox.files.getFileInfo(['/tmp/files/none']), refused(404, 'FILE_NOT_FOUND'));
        },
      ],
      [
        'files.setPermissions',
        async ({ sandbox }) => {
          await sandbox.files.setPermissions([
            { path: '/tmp/files/a/one.txt', mode: 600, owner: 'user', group: 'user' },
          ]);
          const info = (await sandbox.files.getFileInfo(['/tmp/files/a/one.txt']))['/tmp/files/a/one.txt'];
          assert.deepEqual([info.mode, info.owner], [600, 'user']);
        },
      ],
      [
        'files.createDirectories, listDirectory, search',
        async ({ sandbox }) => {
          await sandbox.files.createDirectories([{ path: '/tmp/files/a/deep/er', mode: 750 }]);
          const names = (entries) => entries.map(({ path }) => path);
          assert.deepEqual(names(await sandbox.files.listDirectory({ path: '/tmp/files/a' })), [
            '/tmp/files/a/deep',
            '/tmp/files/a/one.txt',
            '/tmp/files/a/two.bin',
          ]);
          assert.ok(
            names(await sandbox.files.listDirectory({ path: '/tmp/files/a', depth: 2 })).includes(
              '/tmp/files/a/deep/er',
            ),
          );
          assert.deepEqual(names(await sandbox.files.search({ path: '/tmp/files', pattern: '*.txt' })), [
            '/tmp/files/a/one.txt',
          ]);
        },
      ],
      [
        'files.replaceContents',
        async ({ sandbox }) => {
          const entries = [{ path: '/tmp/files/a/one.txt', oldContent: 'two', newContent: '2' }];
          assert.equal((await sandbox.files.replaceContentsDetailed(entries))[0].replacedCount, 1);
          assert.equal(await sandbox.files.readFile('/tmp/files/a/one.txt'), 'one\n2\nthree\n');
        },
      ],
      [
        'files.moveFiles, deleteFiles, deleteDirectories',
        async ({ sandbox }) => {
          await sandbox.files.moveFiles([{ src: '/tmp/files/a/one.txt', dest: '/tmp/files/b/one.txt' }]);
          assert.equal(await sandbox.files.readFile('/tmp/files/b/one.txt'), 'one\n2\nthree\n');
          await sandbox.files.deleteFiles(['/tmp/files/b/one.txt']);
          await sandbox.files.deleteDirectories(['/tmp/files/a']);
          const left = await sandbox.commands.run('ls /tmp/files/b; ls -d /tmp/files/a');
          assert.deepEqual([textOf(left.logs.stdout), left.exitCode], ['', 2]);
        },
      ],
      [
        'getEndpoint: a server in the sandbox',
        async ({ sandbox }) => {
          await sandbox.files.writeFiles([{ path: '/tmp/files/www/hello.txt', data: 'hello' }]);
          await sandbox.commands.run('cd /tmp/files/www && exec python3 -m http.server 8000 --bind 127.0.0.1', {
            background: true,
          });
          const { endpoint, headers } = await sandbox.getEndpoint(8000);
          let answer = await fetch(`http://${endpoint}/hello.txt`, { headers });
          for (let tries = 0; answer.status === 502 && tries < 50; tries++) {
            await new Promise((resolve) => setTimeout(resolve, 100));
            answer = await fetch(`http://${endpoint}/hello.txt`, { headers });
          }
          assert.deepEqual([answer.status, await answer.text()], [200, 'hello']);
          assert.equal((await fetch(`http://${endpoint}/hello.txt`)).status, 401);
        },
      ],
      [
        'getMetrics',
        async ({ sandbox }) => {
          const { memoryUsedMiB, cpuCount } = await sandbox.getMetrics();
          assert.ok(memoryUsedMiB > 0 && cpuCount === 1);
        },
      ],
      [
        'getEgressPolicy, patchEgressRules',
        async ({ sandbox }) => {
          assert.deepEqual(await sandbox.getEgressPolicy(), { defaultAction: 'deny', egress: [] });
          await assert.rejects(
            sandbox.patchEgressRules([{ action: 'allow', target: 'example.com' }]),
            refused(501, 'NOT_IMPLEMENTED'),
          );
        },
      ],
      [
        'renew',
        async ({ sandbox }) => {
          const { expiresAt } = await sandbox.renew(600);
          assert.ok(Math.abs(expiresAt - Date.now() - 600_000) < 10_000);
        },
      ],
      [
        'patchMetadata',
        async ({ sandbox }) => {
          const info = await sandbox.patchMetadata({ team: null, extra: 'yes' });
          assert.deepEqual(info.metadata, { extra: 'yes', run: String(process.pid) });
        },
      ],
      [
        'SandboxManager: list by metadata',
        async ({ SandboxManager, connectionConfig, sandbox }) => {
          const manager = SandboxManager.create({ connectionConfig });
          const { items } = await manager.listSandboxInfos({
            metadata: { run: String(process.pid) },
            states: ['Running'],
          });
          assert.deepEqual(
            items.map(({ id }) => id),
            [sandbox.id],
          );
        },
      ],
      [
        'Sandbox.connect',
        async ({ Sandbox, connectionConfig, sandbox }) => {
          const again = await Sandbox.connect({ connectionConfig, sandboxId: sandbox.id });
          assert.equal(textOf((await again.commands.run('echo again')).logs.stdout), 'again');
        },
      ],
      ['pause: not there', ({ sandbox }) => assert.rejects(sandbox.pause(), refused(501, 'NOT_IMPLEMENTED'))],
      [
        'commands.createSession, runInSession, deleteSession',
        async ({ sandbox }) => {
          const session = await sandbox.commands.createSession({ workingDirectory: '/usr' });
          const run = (command, options) => sandbox.commands.runInSession(session, command, options);
          assert.equal((await run('v="a  b"; f() { echo "f $v $(id -u)"; }; pwd')).exitCode, 0);
          const kept = await run('cd /etc; f; echo e >&2');
          assert.deepEqual([textOf(kept.logs.stdout), textOf(kept.logs.stderr)], ['f a  b 0', 'e']);
          assert.equal(textOf((await run('pwd; (exit 3)')).logs.stdout), '/etc');
          assert.equal((await run('(exit 3)')).exitCode, 3);
          assert.equal(textOf((await run('pwd', { workingDirectory: '/tmp' })).logs.stdout), '/tmp');
          assert.equal((await run('sleep 60', { timeoutSeconds: 1 })).exitCode, -1);
          assert.equal(textOf((await run('f')).logs.stdout), 'f a  b 0');
          await sandbox.commands.deleteSession(session);
          await assert.rejects(run('true'), refused(404, 'CONTEXT_NOT_FOUND'));
          await assert.rejects(sandbox.commands.deleteSession(session), refused(404, 'CONTEXT_NOT_FOUND'));
        },
      ],
      [
        'Sandbox.create: an unknown image, a wrong key',
        async ({ Sandbox, ConnectionConfig, connectionConfig, url }) => {
          await assert.rejects(
            Sandbox.create({ connectionConfig, image: 'nobody/has:it' }),
            refused(404, 'SANDBOX::IMAGE_NOT_FOUND'),
          );
          const wrong = new ConnectionConfig({ domain: `${url}/compat/opensandbox`, apiKey: 'wrong' });
          await assert.rejects(
            Sandbox.create({ connectionConfig: wrong, image: 'ubuntu' }),
            refused(401, 'INVALID_API_KEY'),
          );
        },
      ],
      [
        'kill',
        async (state) => {
          const { sandbox } = state;
          await sandbox.kill();
          await assert.rejects(sandbox.getInfo(), refused(404, 'DOCKER::SANDBOX_NOT_FOUND'));
          assert.equal(await sandbox.isHealthy(), false);
          state.sandbox = null;
        },
      ],
    ],
  },
];
