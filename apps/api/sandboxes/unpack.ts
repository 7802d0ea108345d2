import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { ARCHIVE_LIMITS, LINK_CHUNK_BYTES, type UnpackedDto } from '@cordon/contracts';
import { type Header as EntryHeader, extract } from 'tar-stream';
import { ProblemException } from '../http/problem.js';
import { escapePointer } from '../http/validate-dto.js';
import { TestArchive } from '../problems/test-archive.js';
import { LinkBroken, LinkRefused, type WorkerLink } from './worker-link.js';

/** Reads into `place` what the tar archive holds, first all of it into a directory beside: one that is broken or refused changes nothing. */
export function unpack(
  link: WorkerLink,
  id: string,
  place: string,
  body: Readable,
  root: boolean,
): Promise<UnpackedDto> {
  return staged(link, id, place, root, (unpacking) => unpacking.receive(body));
}

/** The same of a zip archive, which is taken whole before anything of it is unpacked: its list stands at its end. */
export async function unpackZip(
  link: WorkerLink,
  id: string,
  place: string,
  body: Readable,
  root: boolean,
): Promise<UnpackedDto> {
  const archive = await TestArchive.receive(body);
  try {
    return await staged(link, id, place, root, (unpacking) => unpacking.receiveZip(archive));
  } finally {
    archive.close();
  }
}

async function staged(
  link: WorkerLink,
  id: string,
  place: string,
  root: boolean,
  receive: (unpacking: Unpacking) => Promise<void>,
): Promise<UnpackedDto> {
  const target = place.replace(/\/+$/, '');
  const staging = `${target}/.${Math.random().toString(36).slice(2, 10)}.partial`;
  const unpacking = new Unpacking(link, id, staging, root);
  try {
    await link.ask(id, { op: 'mkdir', path: staging, mode: 0o755, root });
    await receive(unpacking);
    await unpacking.moveTo(target);
  } finally {
    await link.ask(id, { op: 'remove', path: staging, recursive: true, root }).catch(() => undefined);
  }
  return { entries: unpacking.entries, bytes: unpacking.bytes };
}

type Entry = Pick<EntryHeader, 'name' | 'type' | 'mode'> & Partial<Pick<EntryHeader, 'linkname'>>;

class Unpacking {
  bytes = 0;
  entries = 0;
  private readonly directories = new Map<string, number>();
  /** Files and links, in order. */
  private readonly others = new Set<string>();
  private readonly links = new Set<string>();

  constructor(
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly staging: string,
    private readonly root: boolean,
  ) {}

  async receive(body: Readable): Promise<void> {
    const archive = extract();
    body.on('error', (error) => archive.destroy(error));
    body.once('close', () => body.readableEnded || archive.destroy(new Error('the upload broke off')));
    body.pipe(archive);
    try {
      for await (const entry of archive) await this.entry(entry.header, entry);
    } catch (error) {
      // The rest is read and forgotten: who still sends shall hear what was wrong.
      body.unpipe(archive);
      body.resume();
      archive.destroy();
      if (error instanceof ProblemException || error instanceof LinkRefused || error instanceof LinkBroken) throw error;
      throw new ProblemException('invalid-request', `not a whole tar archive: ${(error as Error).message}`);
    }
  }

  async receiveZip(archive: TestArchive): Promise<void> {
    for (const name of archive.paths) {
      const header = { name, type: 'file' as const, mode: archive.modeOf(name) ?? 0o644 };
      const content = archive.content(name);
      await this.entry(header, Object.assign(content, { resume: () => undefined }));
    }
  }

  /** What is there stays, unless the archive has a file of that name. */
  async moveTo(target: string): Promise<void> {
    for (const [path, mode] of this.directories) await this.ask({ op: 'mkdir', path: `${target}/${path}`, mode });
    for (const path of this.others)
      await this.ask({ op: 'move', from: `${this.staging}/${path}`, to: `${target}/${path}` });
  }

  private async entry(header: Entry, content: AsyncIterable<unknown> & { resume(): unknown }): Promise<void> {
    const path = this.checked(header);
    this.entries++;
    if (this.entries > ARCHIVE_LIMITS.entries)
      throw new ProblemException('payload-too-large', `an archive holds at most ${ARCHIVE_LIMITS.entries} entries`);
    const place = `${this.staging}/${path}`;
    const mode = (header.mode ?? 0o644) & 0o777;
    if (header.type === 'file') {
      await this.file(place, mode, content);
      this.others.add(path);
      this.parents(path);
      return;
    }
    content.resume();
    if (path === '') return;
    this.parents(path);
    if (header.type === 'directory') {
      await this.ask({ op: 'mkdir', path: place, mode: 0o755 });
      this.directories.set(path, mode);
    } else {
      await this.ask({ op: 'symlink', path: place, target: header.linkname ?? '' });
      this.links.add(path);
      this.others.add(path);
    }
  }

  private parents(path: string): void {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const parent = path.slice(0, at);
      if (!this.directories.has(parent)) this.directories.set(parent, 0o755);
    }
  }

  private async file(path: string, mode: number, content: AsyncIterable<unknown>): Promise<void> {
    let offset = 0;
    const put = async (bytes: Uint8Array): Promise<void> => {
      await this.ask({ op: 'write', path, offset, truncate: offset === 0, mode }, bytes);
      offset += bytes.length;
    };
    for await (const chunk of content as AsyncIterable<Buffer>) {
      this.bytes += chunk.length;
      if (this.bytes > ARCHIVE_LIMITS.bytes)
        throw new ProblemException('payload-too-large', `an archive holds at most ${ARCHIVE_LIMITS.bytes} bytes`);
      for (let at = 0; at < chunk.length; at += LINK_CHUNK_BYTES) await put(chunk.subarray(at, at + LINK_CHUNK_BYTES));
    }
    if (offset === 0) await put(Buffer.alloc(0));
  }

  /** Its path below the directory. Throws ProblemException for what would lead out of it, or is neither file, directory nor symlink. */
  private checked({ name, type, linkname }: Entry): string {
    if (type !== 'file' && type !== 'directory' && type !== 'symlink') throw refused(name, `is a ${type}`);
    if (Buffer.byteLength(name) > ARCHIVE_LIMITS.nameBytes) throw refused(name.slice(0, 80), 'has too long a name');
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    if (name.startsWith('/') || name.includes('\0') || parts.includes('..')) throw refused(name, 'leads out of it');
    const path = parts.join('/');
    if (type !== 'directory' && path === '') throw refused(name, 'has no name');
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1))
      if (this.links.has(path.slice(0, at))) throw refused(name, 'lies behind a symbolic link');
    if (this.links.has(path)) throw refused(name, 'comes twice');
    if (type === 'symlink') {
      const to = posix.normalize(posix.join(posix.dirname(path), linkname ?? ''));
      if (!linkname || linkname.startsWith('/') || linkname.includes('\0') || to === '..' || to.startsWith('../'))
        throw refused(name, 'is a symbolic link that leads out of it');
    }
    return path;
  }

  private ask(request: object, bytes?: Uint8Array): Promise<unknown> {
    return this.link.ask(this.id, { ...request, root: this.root }, bytes);
  }
}

function refused(name: string, detail: string): ProblemException {
  return new ProblemException('invalid-request', `"${name}" ${detail}`, [
    { pointer: `/${escapePointer(name)}`, detail },
  ]);
}
