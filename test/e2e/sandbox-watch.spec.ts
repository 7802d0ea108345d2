import { get as httpGet, type IncomingMessage } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
let sandbox = '';
const at = (rest: string): string => `/v1/sandboxes/${sandbox}${rest}`;

beforeAll(async () => {
  sandbox = (await cordon.postTo('/v1/sandboxes', {})).body.id;
}, 60_000);

const sh = async (script: string): Promise<string> =>
  (await cordon.postTo(at('/exec'), { command: ['/bin/sh', '-c', script] })).body.stdout;

/** A client that watches: `type path` for each event. */
class Watcher {
  readonly seen: string[] = [];
  over = false;
  private response!: IncomingMessage;

  static open(query: string): Promise<Watcher> {
    const watcher = new Watcher();
    const headers = { authorization: `Bearer ${KEY}` };
    return new Promise((resolve) => {
      httpGet({ host: '127.0.0.1', port: cordon.port, path: at(`/files/watch?${query}`), headers }, (response) => {
        watcher.response = response;
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (data: string) => {
          text += data;
          const events = text.split('\n\n');
          text = events.pop() ?? '';
          for (const event of events) {
            const [, type] = /^event: (.*)$/m.exec(event) ?? [];
            const path = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? '{}').path;
            if (type === 'ready') resolve(watcher);
            else if (type) watcher.seen.push(`${type} ${path}`);
          }
        });
        response.on('close', () => {
          watcher.over = true;
        });
      });
    });
  }

  sees(event: string): Promise<void> {
    return expect.poll(() => this.seen, { timeout: 5000 }).toContain(event);
  }

  leave(): void {
    this.response.destroy();
  }
}

describe('watching files of a sandbox', () => {
  it('tells what programs and requests do in a directory, in order', async () => {
    const watcher = await Watcher.open('path=.');
    await sh('echo 1 > ä; chmod 600 ä; mv ä b; mkdir sub; echo 2 > sub/unseen; rm b');
    await watcher.sees('remove b');
    expect(watcher.seen).toEqual(['create ä', 'write ä', 'chmod ä', 'rename ä', 'create b', 'create sub', 'remove b']);
    await cordon.postTo(at('/files/mkdir'), { path: 'by-request' });
    await watcher.sees('create by-request');
    watcher.leave();
  });

  it('tells of the directories below, too, of new ones with all that is in them', async () => {
    await sh('mkdir -p top/old');
    const watcher = await Watcher.open('path=top&recursive=true');
    await sh('cd top; echo 1 > old/a; mkdir -p new/deep; echo 2 > new/deep/b; rm -r old');
    await watcher.sees('remove old');
    expect(watcher.seen).toEqual(
      expect.arrayContaining(['create old/a', 'create new', 'create new/deep', 'create new/deep/b', 'remove old/a']),
    );
    watcher.leave();
  });

  it('ends with its directory', async () => {
    await sh('mkdir gone');
    const watcher = await Watcher.open('path=gone');
    await sh('rmdir gone');
    await expect.poll(() => watcher.over, { timeout: 5000 }).toBe(true);
  });

  it('loses nothing for one that reads slowly but what it is told of', async () => {
    await sh('mkdir many');
    const watcher = await Watcher.open('path=many');
    await sh('cd many; i=0; while [ $i -lt 3000 ]; do : > f$i; i=$((i+1)); done');
    await watcher.sees('create f2999');
    expect(watcher.seen.filter((event) => event.startsWith('create '))).toHaveLength(3000);
    watcher.leave();
  });

  it('is refused where there is nothing to watch, or not by this user', async () => {
    const refused = async (query: string, key = KEY) => {
      const { status, body } = await cordon.get(at(`/files/watch?${query}`), key);
      return `${status} ${body.detail ?? ''}`;
    };
    expect(await refused('path=nowhere')).toBe('409 ENOENT');
    expect(await refused('path=/etc/passwd')).toBe('409 ENOTDIR');
    await cordon.postTo(at('/exec'), { command: ['/bin/sh', '-c', 'mkdir -m 700 /shut'], user: 'root' });
    expect(await refused('path=/shut')).toBe('409 EACCES');
    expect(await refused('path=.&recursive=maybe')).toMatch(/^422/);
    expect(await refused('')).toMatch(/^422/);
    expect(await refused('path=.', OTHER_KEY)).toMatch(/^404/);
  });
});
