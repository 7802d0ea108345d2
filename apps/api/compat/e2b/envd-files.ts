import type { SandboxFileDto, WatchLine } from '@cordon/contracts';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import type { Message } from './connect-protocol.js';
import { E2bError, toE2bError } from './e2b.errors.js';
import { type GuestUser, guestPath } from './guest-user.js';

/** Entries of one listing. */
const ENTRIES_MOST = 10_000;
const DEPTH_MOST = 64;
const NAMES: Readonly<Record<number, string>> = { 0: 'root', 1000: 'user' };
const KIND: Readonly<Record<string, { type: string; letter: string }>> = {
  file: { type: 'FILE_TYPE_FILE', letter: '-' },
  directory: { type: 'FILE_TYPE_DIRECTORY', letter: 'd' },
  symlink: { type: 'FILE_TYPE_SYMLINK', letter: 'L' },
};

/** EntryInfo of envd's filesystem service. */
export function entryInfo(path: string, file: SandboxFileDto): object {
  const { type, letter } = KIND[file.type] ?? { type: 'FILE_TYPE_UNSPECIFIED', letter: '?' };
  const bits = [...'rwxrwxrwx'].map((bit, index) => ((file.mode >> (8 - index)) & 1 ? bit : '-')).join('');
  return {
    name: path === '/' ? '/' : path.slice(path.lastIndexOf('/') + 1),
    type,
    path,
    size: String(file.size),
    mode: file.mode & 0o777,
    permissions: letter + bits,
    owner: NAMES[file.uid] ?? String(file.uid),
    group: NAMES[file.gid] ?? String(file.gid),
    modifiedTime: new Date(file.modifiedAt).toISOString(),
    ...(file.target === undefined ? {} : { symlinkTarget: file.target }),
  };
}

/** FilesystemEvent of the same. `top`: the directory that is watched. */
export async function watchEvent(
  files: EnvdFiles,
  top: string,
  { type, path: name }: WatchLine,
  includeEntry: boolean,
): Promise<object> {
  const place = `${top === '/' ? '' : top}/${name}`;
  // What was removed has nothing to be told.
  const entry = includeEntry ? await files.stat(place).catch(() => null) : null;
  const event = { name, type: `EVENT_TYPE_${type.toUpperCase()}` };
  return entry ? { ...event, entry: entryInfo(place, entry) } : event;
}

/** envd's filesystem service, but for watchers that are asked (envd-watchers.ts). */
export class EnvdFiles {
  constructor(
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly user: GuestUser,
  ) {}

  async stat(path: string): Promise<SandboxFileDto> {
    const { root } = this.user;
    return (await this.link.ask<{ entry: SandboxFileDto }>(this.id, { op: 'stat', path, root })).reply.entry;
  }

  private async info(path: string): Promise<object> {
    return { entry: entryInfo(path, await this.stat(path)) };
  }

  Stat({ path }: Message): Promise<object> {
    return this.info(guestPath(path, this.user));
  }

  async MakeDir({ path: given }: Message): Promise<object> {
    const path = guestPath(given, this.user);
    const there = await this.link.ask(this.id, { op: 'stat', path, root: this.user.root }).then(
      () => true,
      () => false,
    );
    if (there) throw new E2bError('already_exists', `directory already exists: ${path}`);
    await this.link.ask(this.id, { op: 'mkdir', path, mode: 0o755, root: this.user.root });
    return this.info(path);
  }

  async Move({ source, destination }: Message): Promise<object> {
    const [from, to] = [guestPath(source, this.user), guestPath(destination, this.user)];
    const parent = to.slice(0, to.lastIndexOf('/')) || '/';
    const { root } = this.user;
    await this.stat(from);
    if (parent !== '/') await this.link.ask(this.id, { op: 'mkdir', path: parent, mode: 0o755, root });
    await this.link.ask(this.id, { op: 'move', from, to, root });
    return this.info(to);
  }

  async Remove({ path }: Message): Promise<object> {
    const place = guestPath(path, this.user);
    await this.link
      .ask(this.id, { op: 'remove', path: place, recursive: true, root: this.user.root })
      .catch((error: unknown) => {
        // Removing what is not there is no error, as with Go's os.RemoveAll.
        if (toE2bError(error).code !== 'not_found') throw error;
      });
    return {};
  }

  /** Tells what happens in a directory, until it is gone or the client leaves. */
  async watch(
    { path, recursive, includeEntry }: Message,
    stream: () => { send(message: object): Promise<void>; end(error?: unknown): void },
    gone: AbortSignal,
  ): Promise<void> {
    const top = guestPath(path, this.user);
    const body = { path: top, recursive: recursive === true, root: this.user.root };
    const lines = await this.link.openLines(`/sandboxes/${this.id}/watch`, body, gone);
    const out = stream();
    await out.send({ start: {} });
    for await (const line of lines) {
      const event = JSON.parse(line) as WatchLine;
      if (event.type === 'overflow') continue;
      await out.send({ filesystem: await watchEvent(this, top, event, includeEntry === true) });
    }
    out.end();
  }

  async ListDir({ path, depth = 1 }: Message): Promise<object> {
    const top = guestPath(path, this.user);
    if (typeof depth !== 'number' || depth < 0 || depth > DEPTH_MOST)
      throw new E2bError('invalid_argument', `depth must be 1 to ${DEPTH_MOST}`);
    const { type } = await this.stat(top);
    if (type !== 'directory' && type !== 'symlink')
      throw new E2bError('invalid_argument', `path is not a directory: ${top}`);
    const entries: object[] = [];
    const walk = async (directory: string, left: number): Promise<void> => {
      for (let offset: number | null = 0; offset !== null; ) {
        const { reply }: { reply: { entries: SandboxFileDto[]; next: number | null } } = await this.link.ask(this.id, {
          op: 'list',
          path: directory,
          offset,
          root: this.user.root,
        });
        for (const file of reply.entries) {
          const place = `${directory === '/' ? '' : directory}/${file.name}`;
          if (entries.length >= ENTRIES_MOST) return;
          entries.push(entryInfo(place, file));
          if (file.type === 'directory' && left > 1) await walk(place, left - 1);
        }
        offset = reply.next;
      }
    };
    await walk(top, Math.max(1, depth));
    return { entries };
  }
}
