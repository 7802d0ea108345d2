import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { FILE_UPLOAD_BYTES, LINK_CHUNK_BYTES, type SandboxFileDto } from '@cordon/contracts';
import { collect } from '../../sandboxes/exec.js';
import { upload } from '../../sandboxes/upload.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { fieldsOf } from './create-body.js';
import { fitsGlob } from './glob.js';
import { guestPath } from './guest-path.js';
import { invalid, OpenSandboxError, toOpenSandboxError } from './opensandbox.errors.js';
import { startOf } from './opensandbox.service.js';

/** Of one request. */
const PATHS_MOST = 1000;
const ENTRIES_MOST = 10_000;
const DEPTH_MOST = 64;
/** Of a file whose content is replaced. */
const REPLACE_MOST = 16 << 20;
const NAMES: Readonly<Record<number, string>> = { 0: 'root', 1000: 'user' };
const NAME = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}$/;
const CHANGED = /^(?:user|root|\d{1,9})$/;

/** Mode in octal digits that are read as a decimal number, as execd has it. */
interface Permission {
  readonly mode?: number;
  readonly owner?: string;
  readonly group?: string;
}

export function permissionOf(value: unknown, what: string): Permission {
  const { mode, owner, group } = fieldsOf(value, what);
  if (mode !== undefined && mode !== null && mode !== 0 && !/^[0-7]{1,4}$/.test(String(mode)))
    throw invalid(`${what}: mode must be octal digits, such as 755`);
  for (const name of [owner, group])
    if (name !== undefined && name !== null && name !== '' && !(NAME.test(String(name)) && CHANGED.test(String(name))))
      throw invalid(`${what}: owner and group are user, root or a number`);
  return {
    ...(mode ? { mode: Number.parseInt(String(mode), 8) } : {}),
    ...(owner ? { owner: idOf(String(owner)) } : {}),
    ...(group ? { group: idOf(String(group)) } : {}),
  };
}

const idOf = (name: string): string => ({ user: '1000', root: '0' })[name] ?? name;

function fileInfo(path: string, { type, size, mode, uid, gid, modifiedAt }: SandboxFileDto): object {
  const time = new Date(modifiedAt).toISOString();
  return {
    path,
    type: type === 'file' || type === 'directory' || type === 'symlink' ? type : 'other',
    size,
    mode: Number((mode & 0o777).toString(8)),
    owner: NAMES[uid] ?? String(uid),
    group: NAMES[gid] ?? String(gid),
    modified_at: time,
    // Its file system does not keep when a file was made.
    created_at: time,
  };
}

/** execd's files, done as root of the sandbox. */
export class ExecdFiles {
  constructor(
    private readonly link: WorkerLink,
    private readonly id: string,
  ) {}

  async stat(path: string): Promise<SandboxFileDto> {
    try {
      return (await this.link.ask<{ entry: SandboxFileDto }>(this.id, { op: 'stat', path, root: true })).reply.entry;
    } catch (error) {
      const known = toOpenSandboxError(error);
      throw known.code === 'FILE_NOT_FOUND' ? new OpenSandboxError(404, known.code, `file not found. ${path}`) : error;
    }
  }

  async info(given: readonly string[]): Promise<object> {
    const infos: [string, object][] = [];
    for (const path of several(given)) infos.push([path, fileInfo(guestPath(path), await this.stat(guestPath(path)))]);
    return Object.fromEntries(infos);
  }

  /** What is not there needs no removal. */
  async remove(given: readonly string[]): Promise<object> {
    for (const path of several(given).map(guestPath)) {
      const entry = await this.stat(path).catch(absent);
      if (entry?.type === 'directory') throw new OpenSandboxError(400, 'INVALID_FILE', `${path} is a directory`);
      if (entry) await this.link.ask(this.id, { op: 'remove', path, recursive: false, root: true });
    }
    return {};
  }

  async removeDirectories(given: readonly string[]): Promise<object> {
    for (const path of several(given).map(guestPath)) {
      if (await this.stat(path).catch(absent))
        await this.link.ask(this.id, { op: 'remove', path, recursive: true, root: true });
    }
    return {};
  }

  async makeDirectories(body: unknown): Promise<object> {
    const wanted = this.permissionsOf(body);
    for (const [path, permission] of wanted) {
      await this.link.ask(this.id, { op: 'mkdir', path, mode: permission.mode ?? 0o755, root: true });
      await this.permit(path, permission);
    }
    return {};
  }

  async move(body: unknown): Promise<object> {
    if (!Array.isArray(body) || body.length > PATHS_MOST) throw invalid('the body must be a list of moves');
    const moves = body.map((item: unknown) => {
      const { src, dest } = fieldsOf(item, 'a move');
      return { from: guestPath(src), to: guestPath(dest) };
    });
    for (const { from, to } of moves) {
      await this.stat(from);
      await this.link.ask(this.id, { op: 'mkdir', path: posix.dirname(to), mode: 0o755, root: true });
      await this.link.ask(this.id, { op: 'move', from, to, root: true });
    }
    return {};
  }

  async permissions(body: unknown): Promise<object> {
    for (const [path, permission] of this.permissionsOf(body)) {
      await this.stat(path);
      await this.permit(path, permission);
    }
    return {};
  }

  /** By the sandbox's own programs. */
  async permit(path: string, { mode, owner, group }: Permission): Promise<void> {
    if (owner !== undefined || group !== undefined)
      await this.run(['/bin/chown', `${owner ?? ''}${group === undefined ? '' : `:${group}`}`, '--', path]);
    if (mode !== undefined) await this.run(['/bin/chmod', mode.toString(8), '--', path]);
  }

  private async run(argv: readonly string[]): Promise<void> {
    const events = this.link.events(`/sandboxes/${this.id}/start`, startOf(argv), new AbortController().signal);
    const { exitCode, stderr } = await collect(events);
    if (exitCode !== 0) throw new OpenSandboxError(500, 'RUNTIME_ERROR', stderr.trim().slice(0, 500) || argv[0]);
  }

  private permissionsOf(body: unknown): [string, Permission][] {
    const entries = Object.entries(fieldsOf(body));
    if (entries.length > PATHS_MOST) throw invalid(`over ${PATHS_MOST} paths`);
    return entries.map(([path, value]) => [guestPath(path), permissionOf(value, path)]);
  }

  async replace(body: unknown, verbose: boolean): Promise<object> {
    const wanted = Object.entries(fieldsOf(body)).map(([path, item]) => {
      const { old, new: by } = fieldsOf(item, path);
      if (typeof old !== 'string' || old === '') throw invalid('old content must not be empty');
      if (typeof by !== 'string') throw invalid('new content must be a string');
      return { path, place: guestPath(path), old, by };
    });
    const counts: [string, object][] = [];
    for (const { path, place, old, by } of wanted) {
      const { mode, uid, gid } = await this.stat(place);
      const [before, from] = [await this.read(place), Buffer.from(old)];
      const pieces = split(before, from);
      const length = before.length + (pieces.length - 1) * (Buffer.byteLength(by) - from.length);
      if (length > FILE_UPLOAD_BYTES)
        throw new OpenSandboxError(413, 'INVALID_FILE_CONTENT', `${path} would be too large`);
      if (pieces.length > 1) {
        const after = Readable.from(joined(pieces, Buffer.from(by)));
        await upload(this.link, this.id, place, after, { mode: mode & 0o777, root: true });
        await this.permit(place, { mode: mode & 0o7777, owner: String(uid), group: String(gid) });
      }
      counts.push([path, { replacedCount: pieces.length - 1 }]);
    }
    return verbose ? Object.fromEntries(counts) : {};
  }

  private async read(path: string): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (let offset = 0; ; ) {
      const { reply, bytes } = await this.link.ask<{ size: number }>(this.id, {
        op: 'read',
        path,
        offset,
        length: LINK_CHUNK_BYTES,
        root: true,
      });
      if (reply.size > REPLACE_MOST || offset > REPLACE_MOST)
        throw new OpenSandboxError(413, 'INVALID_FILE_CONTENT', `${path} has over ${REPLACE_MOST} bytes`);
      if (bytes.length === 0) return Buffer.concat(chunks);
      chunks.push(bytes);
      offset += bytes.length;
    }
  }

  /** In the order of their names, what is in a directory behind it. Links are not followed. */
  async list(given: string | null, depth: string | null): Promise<object> {
    const top = guestPath(given);
    if (depth !== null && !(/^\d{1,2}$/.test(depth) && Number(depth) <= DEPTH_MOST))
      throw invalid(`depth must be 0 to ${DEPTH_MOST}`);
    if ((await this.stat(top)).type !== 'directory')
      throw new OpenSandboxError(400, 'INVALID_FILE', `${top} is not a directory`);
    const infos: object[] = [];
    await this.walk(top, depth === null ? 1 : Number(depth), (path, file) => infos.push(fileInfo(path, file)));
    return infos;
  }

  /** Files below a directory whose name fits. */
  async search(given: string | null, pattern: string | null): Promise<object> {
    const top = guestPath(given);
    await this.stat(top);
    const glob = pattern === null || pattern === '' ? '**' : pattern;
    if (glob.length > 255) throw invalid('pattern is too long');
    const infos: object[] = [];
    await this.walk(top, DEPTH_MOST, (path, file) => {
      if (file.type !== 'directory' && fitsGlob(file.name, glob)) infos.push(fileInfo(path, file));
    });
    return infos;
  }

  private async walk(
    top: string,
    depth: number,
    visit: (path: string, file: SandboxFileDto) => unknown,
  ): Promise<void> {
    let seen = 0;
    const enter = async (directory: string, left: number): Promise<void> => {
      if (left <= 0) return;
      for (const file of await this.entries(directory)) {
        if (++seen > ENTRIES_MOST) throw invalid(`over ${ENTRIES_MOST} entries: ask for a part of them`);
        const path = posix.join(directory, file.name);
        visit(path, file);
        // What has gone meanwhile has nothing in it.
        if (file.type === 'directory') await enter(path, left - 1).catch(absent);
      }
    };
    await enter(top, depth);
  }

  private async entries(path: string): Promise<SandboxFileDto[]> {
    const all: SandboxFileDto[] = [];
    for (let offset: number | null = 0; offset !== null && all.length <= ENTRIES_MOST; ) {
      const { reply }: { reply: { entries: SandboxFileDto[]; next: number | null } } = await this.link.ask(this.id, {
        op: 'list',
        path,
        offset,
        root: true,
      });
      all.push(...reply.entries);
      offset = reply.next;
    }
    return all.sort((one, other) => (one.name < other.name ? -1 : 1));
  }
}

function several(paths: readonly string[]): readonly string[] {
  if (paths.length > PATHS_MOST) throw invalid(`over ${PATHS_MOST} paths`);
  return paths;
}

function absent(error: unknown): undefined {
  if (toOpenSandboxError(error).code !== 'FILE_NOT_FOUND') throw error;
}

/** Bytes, not characters: what is no text stays as it is. */
function split(bytes: Buffer, by: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(by); at >= 0; at = bytes.indexOf(by, from)) {
    pieces.push(bytes.subarray(from, at));
    from = at + by.length;
  }
  return [...pieces, bytes.subarray(from)];
}

function* joined(pieces: readonly Buffer[], by: Buffer): Generator<Buffer> {
  for (const [index, piece] of pieces.entries()) {
    if (index > 0 && by.length > 0) yield by;
    if (piece.length > 0) yield piece;
  }
}
