import { request as httpRequest } from 'node:http';
import type { SandboxDto } from '@cordon/contracts';
import request from 'supertest';
import { type Header as EntryHeader, extract, pack } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';
import { zip } from './zip.js';

const cordon = useDeployment({ workers: 1 });
let id: string;

beforeAll(async () => {
  const response = await cordon.postTo('/v1/sandboxes', {});
  id = (response.body as SandboxDto).id;
});

async function sh(script: string): Promise<string> {
  const response = await cordon.postTo(`/v1/sandboxes/${id}/exec`, { command: ['/bin/sh', '-c', script] });
  expect(response.status, response.text).toBe(200);
  return response.body.stdout as string;
}

const place = (path: string): string => `/v1/sandboxes/${id}/files/archive?path=${encodeURIComponent(path)}`;

async function tar(
  ...entries: (Partial<EntryHeader> & { name: string; content?: Buffer | string })[]
): Promise<Buffer> {
  const archive = pack();
  for (const { content = '', ...header } of entries) archive.entry(header, content);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function put(path: string, body: Buffer, query = ''): request.Test {
  return request(cordon.app.getHttpServer())
    .put(place(path) + query)
    .set('authorization', `Bearer ${KEY}`)
    .set('content-type', 'application/x-tar')
    .send(body);
}

async function get(path: string): Promise<Map<string, { header: EntryHeader; content: Buffer }>> {
  const response = await fetch(`http://127.0.0.1:${cordon.port}${place(path)}`, {
    headers: { authorization: `Bearer ${KEY}` },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/x-tar');
  const found = new Map<string, { header: EntryHeader; content: Buffer }>();
  const archive = extract();
  archive.end(Buffer.from(await response.arrayBuffer()));
  for await (const entry of archive) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as unknown as Buffer);
    found.set(entry.header.name, { header: entry.header, content: Buffer.concat(chunks) });
  }
  return found;
}

describe('a directory of a sandbox', () => {
  it('comes as a tar archive and goes back as one', async () => {
    await sh(
      'mkdir -p src/deep; head -c 300000 /dev/urandom > src/deep/big; echo x > src/run; chmod 755 src/run; : > src/none; ln -s deep/big src/link; mkfifo src/fifo',
    );
    const archive = await get('src');
    expect([...archive.keys()].sort()).toEqual(['deep/', 'deep/big', 'link', 'none', 'run']);
    expect(archive.get('link')?.header).toMatchObject({ type: 'symlink', linkname: 'deep/big' });
    expect(archive.get('run')?.header.mode).toBe(0o755);
    const back = await tar(...[...archive.values()].map(({ header, content }) => ({ ...header, content })));
    expect((await put('copy', back)).body).toEqual({ entries: 5, bytes: 300_002 });
    expect(
      await sh('rm src/fifo; diff -r src copy && readlink copy/link && stat -c %a:%u copy/run && ls -A copy'),
    ).toBe('deep/big\n755:1000\ndeep\nlink\nnone\nrun\n');
  });

  it('keeps what the archive does not have', async () => {
    await sh('mkdir -p merge/a; echo old > merge/a/old; echo old > merge/a/both');
    expect(
      (await put('merge', await tar({ name: 'a/both', content: 'new' }, { name: './b/c/', type: 'directory' }))).status,
    ).toBe(200);
    expect(await sh('cat merge/a/old merge/a/both; ls -A merge merge/b')).toBe('old\nnewmerge:\na\nb\n\nmerge/b:\nc\n');
  });

  it.each([
    ['..', { name: '../out', content: 'x' }],
    ['.. inside', { name: 'a/../../out', content: 'x' }],
    ['an absolute name', { name: '/tmp/out', content: 'x' }],
    ['a link that leads out', { name: 'l', type: 'symlink', linkname: '../../etc' }],
    ['an absolute link', { name: 'l', type: 'symlink', linkname: '/etc' }],
    ['a hard link', { name: 'l', type: 'link', linkname: 'a' }],
    ['a device', { name: 'd', type: 'character-device', devmajor: 1, devminor: 3 }],
  ] as const)('is not made from an archive with %s', async (_what, entry) => {
    const response = await put('bad', await tar({ name: 'first', content: 'x' }, entry as never));
    expect(response.status, response.text).toBe(422);
    expect(response.body.errors[0].pointer).toContain(entry.name.replaceAll('/', '~1'));
    expect(await sh('ls -A bad; ls /tmp/out out 2>/dev/null')).toBe('');
  });

  it('is not written through a link of the archive', async () => {
    const response = await put(
      'bad',
      await tar({ name: 'l', type: 'symlink', linkname: 'x' }, { name: 'l/f', content: 'x' }),
    );
    expect(response.status).toBe(422);
    expect(await sh('ls -A bad')).toBe('');
  });

  it('stays as it was when the archive is broken, or its sender goes', async () => {
    await sh('mkdir -p kept; echo old > kept/f');
    const whole = await tar({ name: 'f', content: Buffer.alloc(500_000, 'n') });
    expect((await put('kept', whole.subarray(0, 300_000))).body).toMatchObject({
      status: 422,
      detail: expect.stringContaining('tar'),
    });
    expect((await put('kept', Buffer.alloc(5000, 'x'))).status).toBe(422);
    await new Promise<void>((resolve) => {
      const client = httpRequest({
        host: '127.0.0.1',
        port: cordon.port,
        path: place('kept'),
        method: 'PUT',
        headers: {
          authorization: `Bearer ${KEY}`,
          'content-type': 'application/x-tar',
          'content-length': whole.length,
        },
      });
      client.on('error', () => resolve());
      client.write(whole.subarray(0, 200_000), () => setTimeout(() => client.destroy(new Error('gone')), 100));
    });
    await expect.poll(() => sh('cat kept/f; ls -A kept'), { timeout: 5000 }).toBe('old\nf\n');
  });

  it('obeys the rights of its user', async () => {
    expect((await put('/root', await tar({ name: 'f', content: 'x' }))).body).toMatchObject({
      status: 409,
      detail: 'EACCES',
    });
    expect((await put('/root', await tar({ name: 'f', content: 'x' }), '&user=root')).status).toBe(200);
    expect((await cordon.get(place('/nowhere'))).body).toMatchObject({ status: 409, detail: 'ENOENT' });
    expect((await cordon.get(place('src/run'))).body).toMatchObject({ status: 409, detail: 'ENOTDIR' });
    expect((await cordon.get(place('src'), OTHER_KEY)).status).toBe(404);
    expect((await cordon.get(`${place('src')}&user=nobody`)).status).toBe(422);
    const json = await request(cordon.app.getHttpServer())
      .put(place('src'))
      .set('authorization', `Bearer ${KEY}`)
      .send({});
    expect(json.status).toBe(415);
  });
});

describe('a directory of a sandbox as a zip archive', () => {
  const putZip = (path: string, body: Buffer): request.Test => put(path, body).set('content-type', 'application/zip');

  it('comes out and goes in again: names, contents, modes, empty directories', async () => {
    await sh(
      'mkdir -p z/däta/empty; echo "one" > z/a.txt; head -c 300000 /dev/urandom > z/däta/big; : > z/nothing; chmod 750 z/a.txt; ln -s a.txt z/link',
    );
    const response = await fetch(`http://127.0.0.1:${cordon.port}${place('z')}&format=zip`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    expect(response.headers.get('content-type')).toBe('application/zip');
    const bytes = Buffer.from(await response.arrayBuffer());
    // Links come out as archivers keep them; none goes in.
    const refused = await putZip('y', bytes);
    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual([expect.objectContaining({ pointer: '/link' })]);
    await sh('rm z/link');
    const again = await fetch(`http://127.0.0.1:${cordon.port}${place('z')}&format=zip`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    const { status, body } = await putZip('y', Buffer.from(await again.arrayBuffer()));
    expect({ status, body }).toEqual({ status: 200, body: { entries: 3, bytes: 300_004 } });
    const tree = (directory: string) =>
      sh(`cd ${directory}; find . -type f -exec sha256sum {} + | sort; stat -c %a a.txt`);
    expect(await tree('y')).toBe(await tree('z'));
  });

  it('changes nothing when it is refused', async () => {
    await sh('mkdir -p keep; echo old > keep/file');
    const bad = [
      zip([
        { name: 'file', content: 'new' },
        { name: '../out', content: 'x' },
      ]),
      zip([{ name: 'file', content: 'new' }]).subarray(0, 40),
      Buffer.from('no archive'),
      zip([{ name: 'bomb', content: Buffer.alloc(64 << 20) }]),
    ];
    for (const bytes of bad) expect((await putZip('keep', bytes)).status).toBe(422);
    expect(await sh('cat keep/file; ls -A keep')).toBe('old\nfile\n');
    expect((await cordon.get(`${place('keep')}&format=rar`)).status).toBe(422);
  });
});
