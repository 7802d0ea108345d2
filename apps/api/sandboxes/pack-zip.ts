import { Readable } from 'node:stream';
import { ARCHIVE_LIMITS, LINK_CHUNK_BYTES, type SandboxFileDto } from '@cordon/contracts';
import { ZipFile } from 'yazl';
import { ProblemException } from '../http/problem.js';
import type { WorkerLink } from './worker-link.js';

/** Directories below the one asked for; deeper ones are not looked at. */
const DEPTH_MAX = 64;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

interface Found {
  readonly name: string;
  readonly path: string;
  readonly file: SandboxFileDto;
}

/**
 * A directory of a sandbox as a zip archive, as it is read. What is in it is listed before: throws ProblemException when that is too
 * much for one archive. Symbolic links are kept as Unix archivers keep them; what is neither file, directory nor link stays out.
 */
export async function packedZip(link: WorkerLink, id: string, path: string, root: boolean): Promise<Readable> {
  const found: Found[] = [];
  await list(link, id, { path, root, prefix: '', depth: 0 }, found);
  const zip = new ZipFile();
  for (const { name, path: place, file } of found) {
    const mtime = new Date(file.modifiedAt);
    if (file.type === 'directory') zip.addEmptyDirectory(name, { mtime, mode: 0o040000 | file.mode });
    else if (file.type === 'symlink')
      zip.addBuffer(Buffer.from(file.target ?? '', 'utf8'), name, { mtime, mode: S_IFLNK | 0o777 });
    else if (file.type === 'file')
      zip.addReadStreamLazy(name, { mtime, mode: S_IFREG | (file.mode & 0o777) }, (done) =>
        done(null, Readable.from(content(link, id, place, root))),
      );
  }
  zip.end();
  const output = zip.outputStream as Readable;
  zip.on('error', (error: Error) => output.destroy(error));
  return output;
}

async function list(
  link: WorkerLink,
  id: string,
  { path, root, prefix, depth }: { path: string; root: boolean; prefix: string; depth: number },
  found: Found[],
): Promise<void> {
  for (let offset: number | null = 0; offset !== null; ) {
    const { reply }: { reply: { entries: SandboxFileDto[]; next: number | null } } = await link.ask(id, {
      op: 'list',
      path,
      offset,
      root,
    });
    for (const file of reply.entries) {
      if (found.length >= ARCHIVE_LIMITS.entries)
        throw new ProblemException('payload-too-large', `an archive holds at most ${ARCHIVE_LIMITS.entries} entries`);
      const place = `${path}/${file.name}`;
      const name = prefix + file.name;
      found.push({ name, path: place, file });
      if (file.type === 'directory' && depth < DEPTH_MAX)
        await list(link, id, { path: place, root, prefix: `${name}/`, depth: depth + 1 }, found);
    }
    offset = reply.next;
  }
}

async function* content(link: WorkerLink, id: string, path: string, root: boolean): AsyncGenerator<Buffer> {
  for (let offset = 0; ; ) {
    const { bytes } = await link.ask(id, { op: 'read', path, offset, length: LINK_CHUNK_BYTES, root });
    if (bytes.length === 0) return;
    offset += bytes.length;
    yield bytes;
  }
}
