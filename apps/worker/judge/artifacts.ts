import { WORK_DIRECTORY } from '@cordon/contracts';
import type { SessionHandle } from '@cordon/pool';
import type { Artifact } from './compile-cache.js';

const ARTIFACT_BYTES = 64 << 20;
/** Files and directories. */
const ARTIFACT_ENTRIES = 1000;
const CHUNK = 64 << 10;

/**
 * All regular files below the work directory of a sandbox. What lists them may be a Sentry that has been taken over: nothing of what it
 * says makes this run or grow without bound, or gives a path outside. Throws RangeError when they are too many or too big.
 */
export async function collectArtifacts(session: Pick<SessionHandle, 'ask'>): Promise<Artifact[]> {
  const found: Artifact[] = [];
  const directories = [WORK_DIRECTORY];
  let seen = 0;
  let left = ARTIFACT_BYTES;
  for (let directory = directories.shift(); directory !== undefined; directory = directories.shift()) {
    for (let offset: number | null = 0; offset !== null; ) {
      const { entries = [], next = null } = await list(session, directory, offset);
      seen += entries.length;
      if (seen > ARTIFACT_ENTRIES) throw tooMuch();
      for (const { name, type, size, mode } of entries) {
        if (!isName(name)) throw new RangeError('the compiler left a file without a proper name');
        const path = `${directory}/${name}`;
        if (type === 'directory') directories.push(path);
        if (type !== 'file') continue;
        if (size > left) throw tooMuch();
        const content = await read(session, path, size);
        left -= content.length;
        found.push({ path, mode, content });
      }
      if (next !== null && !(next > offset && entries.length > 0))
        throw new RangeError('the list of files goes in circles');
      offset = next;
    }
  }
  return found;
}

function tooMuch(): RangeError {
  return new RangeError('the compiler left too much');
}

function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');
}

async function list(session: Pick<SessionHandle, 'ask'>, path: string, offset: number) {
  const { reply } = await session.ask({ op: 'list', path, offset });
  return reply;
}

/** The file's first `size` bytes, fewer if it ends before. */
async function read(session: Pick<SessionHandle, 'ask'>, path: string, size: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for (let offset = 0; offset < size; ) {
    const { bytes } = await session.ask({ op: 'read', path, offset, length: Math.min(CHUNK, size - offset) });
    if (bytes.length === 0) break;
    chunks.push(Buffer.from(bytes.subarray(0, size - offset)));
    offset += bytes.length;
  }
  return Buffer.concat(chunks);
}
