import { Cordon, type Sandbox } from '@cordon/client';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const deployment = useDeployment({ workers: 1 });
const ROOT = { user: 'root' } as const;
const REFUSED = { status: 409, problem: { detail: 'EACCES' } };
let sandbox: Sandbox;

beforeAll(async () => {
  const cordon = new Cordon({ url: `http://127.0.0.1:${deployment.port}`, apiKey: KEY });
  sandbox = await cordon.sandboxes.create();
});

async function sh(script: string, user: 'user' | 'root' = 'user'): Promise<string> {
  const { stdout } = await sandbox.exec({ command: ['/bin/sh', '-c', script], user });
  return stdout;
}

describe('files of a sandbox, as one of its users', () => {
  it('new ones belong to whom the request names, the user when it names nobody', async () => {
    const { files } = sandbox;
    await files.write('/tmp/o/users', 'a');
    await files.write('/tmp/o/named', 'a', { user: 'user' });
    await files.write('/tmp/r/roots', 'a', ROOT);
    await files.mkdir('/tmp/r/below', ROOT);
    expect(await sh("stat -c '%n %u:%g' /tmp/o /tmp/o/users /tmp/o/named /tmp/r /tmp/r/roots /tmp/r/below")).toBe(
      '/tmp/o 1000:1000\n/tmp/o/users 1000:1000\n/tmp/o/named 1000:1000\n/tmp/r 0:0\n/tmp/r/roots 0:0\n/tmp/r/below 0:0\n',
    );
    expect(await files.stat('/tmp/r/roots', ROOT)).toMatchObject({ uid: 0, gid: 0, mode: 0o644 });
  });

  it('what the user may not, root may', async () => {
    const { files } = sandbox;
    await sh('mkdir -m 700 /tmp/shut && echo secret > /tmp/shut/file && chmod 600 /tmp/shut/file', 'root');
    const tries = [
      (who?: typeof ROOT) => files.readText('/tmp/shut/file', who),
      (who?: typeof ROOT) => files.stat('/tmp/shut/file', who),
      (who?: typeof ROOT) => files.list('/tmp/shut', who),
      (who?: typeof ROOT) => files.write('/tmp/shut/other', 'x', who),
      (who?: typeof ROOT) => files.mkdir('/tmp/shut/directory', who),
      (who?: typeof ROOT) => files.move('/tmp/shut/other', '/tmp/shut/moved', who),
      (who?: typeof ROOT) => files.remove('/tmp/shut/moved', who),
    ];
    for (const attempt of tries) await expect(attempt()).rejects.toMatchObject(REFUSED);
    const [text, stat, list] = [await tries[0](ROOT), await tries[1](ROOT), await tries[2](ROOT)];
    expect([text, stat, list]).toMatchObject(['secret\n', { name: 'file' }, [{ name: 'file' }]]);
    for (const attempt of tries.slice(3)) await attempt(ROOT);
    expect((await files.list('/tmp/shut', ROOT)).map(({ name }) => name).sort()).toEqual(['directory', 'file']);
  });

  it('root may watch what the user may not', async () => {
    await sh('mkdir -m 700 /tmp/dark', 'root');
    const watch = (query: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${deployment.port}/v1/sandboxes/${sandbox.id}/files/watch?path=/tmp/dark${query}`, {
        headers: { authorization: `Bearer ${KEY}` },
      });
    expect(await (await watch('')).json()).toMatchObject({ status: 409, detail: 'EACCES' });
    const events = (await watch('&user=root')).body?.pipeThrough(new TextDecoderStream()) ?? [];
    let seen = '';
    for await (const text of events) {
      if (seen === '') await sh('echo > /tmp/dark/new', 'root');
      seen += text;
      if (seen.includes('"path":"new"')) break;
    }
    expect(seen).toContain('event: create\ndata: {"path":"new"}');
  });

  it.each(['daemon', '', '0', 'user&user=root'])('there is no user "%s"', async (user) => {
    for (const path of ['/files/stat', '/files', '/files/list', '/files/archive', '/files/watch']) {
      const { status, body } = await deployment.get(`/v1/sandboxes/${sandbox.id}${path}?path=/tmp&user=${user}`);
      expect([status, body.errors]).toEqual([422, [{ pointer: '?user', detail: 'user or root' }]]);
    }
    const { status, body } = await deployment.postTo(`/v1/sandboxes/${sandbox.id}/files/mkdir`, {
      path: 'x',
      user: 'nobody',
    });
    expect([status, body.errors[0].pointer]).toEqual([422, '/user']);
  });
});
