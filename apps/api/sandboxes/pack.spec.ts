import type { SandboxFileDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { packed } from './pack.js';
import type { WorkerLink } from './worker-link.js';

const file = (name: string, size: number): SandboxFileDto => ({
  name,
  type: 'file',
  size,
  mode: 0o644,
  uid: 0,
  gid: 0,
  modifiedAt: 0,
});

/** A sandbox of one directory, whose files hold less than they say. */
function shrunk(files: readonly SandboxFileDto[], content: Buffer): WorkerLink {
  const ask = async (_id: string, { op, offset }: { op: string; offset: number }): Promise<object> =>
    op === 'list' ? { reply: { entries: files, next: null } } : { reply: {}, bytes: content.subarray(offset) };
  return { ask } as unknown as WorkerLink;
}

async function read(archive: AsyncIterable<unknown>): Promise<number> {
  let bytes = 0;
  for await (const chunk of archive) bytes += (chunk as Buffer).length;
  return bytes;
}

describe('a tar archive of a directory', () => {
  it('breaks off where a file became shorter, and nowhere else: an error nobody hears would end the process', async () => {
    const link = shrunk([file('one', 4), file('two', 9)], Buffer.from('1234'));
    await expect(read(packed(link, 'sbx', '/work', false))).rejects.toThrow('became shorter');
    // What nobody waits for would have come by now.
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('of a client that has left is given up', async () => {
    const archive = packed(shrunk([file('one', 4)], Buffer.from('1234')), 'sbx', '/work', false);
    archive.destroy();
    await expect(read(archive)).rejects.toThrow();
  });
});
