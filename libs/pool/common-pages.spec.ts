/** What every child writes to is copied while it is a spare, not when somebody waits for its guest. */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { hostImage } from '@cordon/images';
import { Pool } from '@cordon/pool/pool';
import { expect, it } from 'vitest';
import { spec } from './test/helpers.js';

const image = hostImage();

/** proc_pid_stat(5): from the state on. Null when the process is gone. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

function childrenOf(parents: readonly number[]): number[] {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return pids.filter((pid) => parents.includes(Number(statOf(pid)?.[1])));
}

/** Minor faults of all the Sentries so far, by process id. */
function faults(pool: Pool): Map<number, number> {
  const sentries = childrenOf(childrenOf(pool.zygotePids()));
  return new Map(sentries.map((pid) => [pid, Number(statOf(pid)?.[7] ?? 0)]));
}

/** Faults from the request to the first instruction of a guest. */
async function faultsOfStart(rehearsals: number): Promise<number> {
  const pool = await new Pool({ image, platform: 'auto', spares: 1, renewAfter: 1000, rehearsals }).start();
  try {
    const before = faults(pool);
    const most = await new Promise<number>((resolve, reject) => {
      const handlers = {
        started: () => {
          const now = faults(pool);
          resolve(Math.max(...[...before].map(([pid, count]) => (now.get(pid) ?? 0) - count)));
          run.cancel();
        },
      };
      const run = pool.run({ ...spec(['/bin/sleep', '60']), image, uid: 1000, gid: 1000 }, handlers);
      run.ended.then(reject);
    });
    return most;
  } finally {
    await pool.close();
  }
}

const [major, minor] = release().split('.').map(Number);
const hostCopies = major > 5 || (major === 5 && minor >= 14);

it.skipIf(!hostCopies)(
  '(Linux 5.14: MADV_POPULATE_WRITE) a spare has its own copies of the pages that starting a guest writes to',
  async () => {
    const [bare, rehearsed] = [await faultsOfStart(0), await faultsOfStart(1)];
    expect(bare).toBeGreaterThan(50);
    expect(rehearsed).toBeLessThan(bare / 2);
  },
);
