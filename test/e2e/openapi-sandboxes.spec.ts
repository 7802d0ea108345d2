import { pack } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';
import { OpenApiDriver, type Sent } from './openapi-driver.js';

/** Of each endpoint: inside a sandbox everything costs a little more. */
const RUNS = Number(process.env.FC_RUNS ?? 20);
const cordon = useDeployment({ workers: 1 });

/** One sandbox with all that the paths name; what a request has ended is made anew before the next. */
const box = { id: '', process: '', context: '' };
const at = (rest = ''): string => `/v1/sandboxes/${box.id}${rest}`;
/** Stand for what is there when the request is sent. */
const TOKENS = new Map([
  ['@id', () => box.id],
  ['@process', () => box.process],
  ['@context', () => box.context],
]);
const SERVER =
  'mkdir -p dir && echo kept > dir/file && : > removed && : > moved && exec python3 -m http.server 8000 --bind 127.0.0.1';
/** Whoever made them, all may change them. */
const FILES = 'mkdir -p work/dir && echo kept > work/dir/file && chmod -R a+rwX work';

async function made(path: string, body: object): Promise<Record<string, unknown>> {
  const response = await cordon.postTo(path, body);
  expect([200, 201, 202], response.text).toContain(response.status);
  return response.body;
}

async function exec(command: string[], more: object = {}): Promise<string> {
  return String((await made(at('/exec'), { command, background: true, ...more })).process);
}

async function ready(sent: Sent): Promise<Sent> {
  // It may have been given a second to live, and its files may be gone: what ends meanwhile is not what is asked here.
  if (box.id === '' || (await cordon.postTo(at('/extend'), { ttlSeconds: 3600 })).status !== 200) {
    box.id = String((await made('/v1/sandboxes', { audit: { level: 'full' } })).id);
    box.process = '';
    box.context = '';
    await exec(['/bin/sh', '-c', SERVER]);
    await expect.poll(async () => (await cordon.get(at('/ports/8000/'))).status, { timeout: 20_000 }).toBe(200);
  }
  if ((await cordon.get(at('/files/stat?path=dir/file'))).status !== 200)
    await made(at('/exec'), { command: ['/bin/sh', '-c', FILES], user: 'root', cwd: '/' });
  const { items } = (await cordon.get(at('/processes'))).body as { items: { process: number }[] };
  if (!items.some(({ process }) => String(process) === box.process))
    box.process = await exec(['/bin/cat'], { openStdin: true });
  const context = await cordon.get(at(`/contexts/${box.context || 'none'}`));
  if (context.body.state !== 'idle') {
    // There may be as many as there can be, made by requests that created some.
    for (const { id } of (await cordon.get(at('/contexts'))).body.items) await cordon.delete(at(`/contexts/${id}`));
    box.context = String((await made(at('/contexts'), { language: 'bash' })).id);
  }
  const path = Object.entries(sent.path).map(([name, value]) => [name, TOKENS.get(value)?.() ?? value]);
  return { ...sent, path: Object.fromEntries(path) };
}

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  id: ['@id'],
  process: ['@process'],
  context: ['@context'],
  port: ['8000'],
};
const FILE = [['path', 'dir/file']] as const;
const DIRECTORY = [['path', 'dir']] as const;
const bodies: Record<string, object> = {
  createSandboxe: {},
  extendSandboxe: { ttlSeconds: 3600 },
  execSandboxe: { command: ['/bin/true'] },
  stdinSandboxe: { data: 'x\n' },
  // SIGCONT: it goes on.
  signalSandboxe: { signal: 18 },
  writeSandboxFile: Buffer.from('content'),
  mkdirSandboxFile: { path: 'made/here' },
  moveSandboxFile: { from: 'moved', to: 'made/there' },
  createContext: { language: 'bash' },
  runContext: { code: 'true', timeoutMs: 5000 },
};
const driver = new OpenApiDriver(cordon, {
  bodies,
  queries: {
    readSandboxFile: FILE,
    writeSandboxFile: [['path', 'written']],
    removeSandboxFile: [['path', 'removed']],
    statSandboxFile: FILE,
    listSandboxFile: DIRECTORY,
    watchSandboxFile: DIRECTORY,
    readSandboxArchive: DIRECTORY,
    writeSandboxArchive: [['path', 'unpacked']],
  },
  known: (parameter) => KNOWN[parameter],
  ready,
});

beforeAll(async () => {
  await driver.load();
  const archive = pack();
  archive.entry({ name: 'file' }, 'in it');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  bodies.writeSandboxArchive = Buffer.concat(chunks);
});

describe('the API of sandboxes is what its document says', () => {
  it('whatever is sent: no 5xx, every answer documented, and every endpoint is of use', async () => {
    const endpoints = driver.endpoints((path) => path.startsWith('/v1/sandboxes'));
    expect(endpoints.length).toBeGreaterThanOrEqual(30);
    for (const endpoint of endpoints) {
      await driver.drive(endpoint, RUNS);
      // What it has made makes no room for others.
      const { items } = (await cordon.get('/v1/sandboxes')).body as { items: { id: string; state: string }[] };
      for (const { id, state } of items)
        if (id !== box.id && state === 'running') await cordon.delete(`/v1/sandboxes/${id}`);
    }
    const never = endpoints
      .filter(({ operation }) => !(101 in operation.responses))
      .map(({ operation }) => operation.operationId)
      .filter((name) => !driver.succeeded.has(name));
    expect(never).toEqual([]);
    expect((await cordon.get('/readyz')).status).toBe(200);
  }, 240_000);
});
