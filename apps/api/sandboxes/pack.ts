import { LINK_CHUNK_BYTES, type SandboxFileDto } from '@cordon/contracts';
import { type Pack, pack } from 'tar-stream';
import { drained } from '../http/gone.js';
import type { WorkerLink } from './worker-link.js';

/** Directories below the one asked for; deeper ones are not looked at, so that a guest's tree is never without end. */
const DEPTH_MAX = 64;

/** A directory of a sandbox as a tar archive, as it is read: files, directories and symbolic links; what else there is stays out. */
export function packed(link: WorkerLink, id: string, path: string, root: boolean): Pack {
  const archive = pack();
  new Packer(archive, link, id, root)
    .directory(path, '', 0)
    .then(() => archive.finalize())
    .catch((error: Error) => archive.destroy(error));
  return archive;
}

class Packer {
  constructor(
    private readonly archive: Pack,
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly root: boolean,
  ) {}

  async directory(path: string, prefix: string, depth: number): Promise<void> {
    let offset: number | null = 0;
    while (offset !== null && !this.archive.destroyed) {
      const { reply }: { reply: { entries: SandboxFileDto[]; next: number | null } } = await this.link.ask(this.id, {
        op: 'list',
        path,
        offset,
        root: this.root,
      });
      for (const entry of reply.entries) await this.entry(entry, `${path}/${entry.name}`, prefix + entry.name, depth);
      offset = reply.next;
    }
  }

  private async entry(entry: SandboxFileDto, path: string, name: string, depth: number): Promise<void> {
    const { mode, uid, gid, size, target } = entry;
    const common = { name, mode, uid, gid, mtime: new Date(entry.modifiedAt) };
    if (entry.type === 'directory') {
      await this.put({ ...common, name: `${name}/`, type: 'directory' as const });
      if (depth < DEPTH_MAX) await this.directory(path, `${name}/`, depth + 1);
    } else if (entry.type === 'symlink') {
      await this.put({ ...common, type: 'symlink' as const, linkname: target ?? '' });
    } else if (entry.type === 'file') await this.file({ ...common, size, type: 'file' as const }, path);
  }

  private put(header: Parameters<Pack['entry']>[0]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.archive.entry(header, '', (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Its length was told first: what grows meanwhile is cut, and one that shrinks breaks the archive off. */
  private async file(header: Parameters<Pack['entry']>[0] & { size: number }, path: string): Promise<void> {
    let finished: (error?: Error | null) => void = () => undefined;
    const whole = new Promise<void>((resolve, reject) => {
      finished = (error) => (error ? reject(error) : resolve());
    });
    whole.catch(() => undefined);
    const sink = this.archive.entry(header, (error) => finished(error));
    // When the archive is given up its entry fails, too; an error that nobody hears would end this process.
    sink.on('error', () => undefined);
    for (let offset = 0; offset < header.size && !this.archive.destroyed; ) {
      const length = Math.min(LINK_CHUNK_BYTES, header.size - offset);
      const { bytes } = await this.link.ask(this.id, { op: 'read', path, offset, length, root: this.root });
      if (bytes.length === 0) throw new Error('a file became shorter while it was read');
      offset += bytes.length;
      if (!sink.write(bytes)) await drained(sink);
    }
    sink.end(null);
    await whole;
  }
}
