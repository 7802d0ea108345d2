import { EINVAL, EISDIR, ENOENT, ENOTDIR } from '../../abi/errno.js';
import { O_CREAT, O_DIRECTORY, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from '../../abi/stat.js';
import { BufferIo } from '../../mm/io.js';
import { makeDirectory, makeSymlink, removeDirectory, removeFile, renameName } from '../../syscalls/file/names.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { newStat } from '../../vfs/inode.js';
import { openAt } from '../../vfs/open.js';
import { isDirectory, isSymlink, resolve, resolveParent, type Walker } from '../../vfs/path-walk.js';
import type { FileDescription } from '../../vfs/types.js';
import { CHUNK_MAX, type FileEntry, type FileRequest, type SessionReply } from './session-message.js';

/** Entries of one `list` reply: with the longest names they fit into a frame. */
const ENTRIES_MAX = 64;
const SEEK_SET = 0;
const DIRECTORY_MODE = 0o755;

export interface FileReply {
  readonly reply: SessionReply;
  readonly bytes?: Uint8Array;
}

/** An errno on its way to the reply. */
export class FileError extends Error {
  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}

function check<T>(value: T | number): T {
  if (typeof value === 'number' && value < 0) throw new FileError(-value);
  return value as T;
}

const attributes = newStat();
const chunk = new Uint8Array(CHUNK_MAX);
const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

/** File requests of a session, done by the VFS directly as one user. Throws FileError. */
export class SessionFiles {
  constructor(private readonly walker: Walker) {}

  handle(request: FileRequest, payload: Uint8Array): FileReply {
    switch (request.op) {
      case 'read':
        return this.read(bytesOf(request.path), request.offset, request.length);
      case 'write':
        return this.write(request, payload);
      case 'list':
        return this.list(bytesOf(request.path), request.offset);
      case 'stat':
        return { reply: { entry: this.stat(bytesOf(request.path)) } };
      case 'mkdir':
        this.mkdir(bytesOf(request.path), request.mode);
        return { reply: {} };
      case 'symlink':
        this.symlink(bytesOf(request.path), bytesOf(request.target));
        return { reply: {} };
      case 'move':
        this.move(bytesOf(request.from), bytesOf(request.to));
        return { reply: {} };
      case 'remove':
        this.remove(bytesOf(request.path), request.recursive);
        return { reply: {} };
    }
  }

  private open(path: string, flags: number, mode: number): FileDescription {
    const file = check<FileDescription>(openAt(this.walker, null, path, flags, mode) as FileDescription | number);
    const type = file.inode.mode & S_IFMT;
    if (type === S_IFREG || (type === S_IFDIR && flags & O_DIRECTORY)) return file;
    file.release();
    // What may block or has no end (devices, pipes) is for programs.
    throw new FileError(type === S_IFDIR ? EISDIR : EINVAL);
  }

  private read(path: string, offset: number, length: number): FileReply {
    const file = this.open(path, O_RDONLY | O_NONBLOCK, 0);
    try {
      const wanted = Math.max(0, Math.min(length, CHUNK_MAX));
      const io = new BufferIo(chunk, 0, wanted);
      while (io.remaining > 0) {
        const got = check<number>(file.pread(io, offset + io.done, this.walker));
        if (got === 0) break;
      }
      file.stat(attributes);
      return { reply: { size: attributes.size }, bytes: chunk.subarray(0, io.done) };
    } finally {
      file.release();
    }
  }

  private write(request: Extract<FileRequest, { op: 'write' }>, payload: Uint8Array): FileReply {
    const path = bytesOf(request.path);
    const slash = path.lastIndexOf('/');
    if (slash > 0) this.mkdir(path.slice(0, slash), DIRECTORY_MODE);
    const file = this.open(path, O_WRONLY | O_CREAT | O_NONBLOCK | (request.truncate ? O_TRUNC : 0), request.mode);
    try {
      file.stat(attributes);
      const start = request.offset ?? attributes.size;
      const io = new BufferIo(payload);
      while (io.remaining > 0) {
        const put = check<number>(file.pwrite(io, start + io.done, this.walker));
        if (put === 0) break;
      }
      return { reply: { written: io.done } };
    } finally {
      file.release();
    }
  }

  private list(path: string, offset: number): FileReply {
    const file = this.open(path, O_RDONLY | O_DIRECTORY, 0);
    try {
      check<number>(file.seek(offset, SEEK_SET));
      const names: string[] = [];
      let next: number | null = null;
      check<number>(
        file.readDirectory((name, _inode, _type, after) => {
          if (names.length === ENTRIES_MAX) {
            return false;
          }
          names.push(name);
          next = after;
          return true;
        }),
      );
      const full = names.length === ENTRIES_MAX;
      const directory = file.path.dentry as DentryNode;
      const entries: FileEntry[] = [];
      for (const name of names) {
        if (name === '.' || name === '..') continue;
        const node = directory.child(name);
        // It may have gone: directories like /proc change by themselves.
        if (typeof node !== 'number') entries.push(this.entry(name, node));
      }
      return { reply: { entries, next: full ? next : null } };
    } finally {
      file.release();
    }
  }

  private stat(path: string): FileEntry {
    const node = check<DentryNode>(resolve(this.walker, null, path, false));
    return this.entry(node.name || '/', node);
  }

  private entry(name: string, node: DentryNode): FileEntry {
    const { inode } = node;
    inode.stat(attributes);
    const target = isSymlink(inode) ? inode.readlink(this.walker) : null;
    return {
      name: textOf(name),
      type: typeOf(attributes.mode),
      size: attributes.size,
      mode: attributes.mode & 0o7777,
      uid: attributes.uid,
      gid: attributes.gid,
      modifiedAt: attributes.mtime.seconds * 1000 + Math.floor(attributes.mtime.nanoseconds / 1e6),
      ...(typeof target === 'string' ? { target: textOf(target) } : {}),
    };
  }

  /** mkdir -p. */
  private mkdir(path: string, mode: number): void {
    const found = resolve(this.walker, null, path, true);
    if (typeof found !== 'number') {
      if (!isDirectory(found.inode)) throw new FileError(ENOTDIR);
      return;
    }
    if (found !== -ENOENT) throw new FileError(-found);
    const parent = path.replace(/\/+$/, '').lastIndexOf('/');
    if (parent > 0) this.mkdir(path.slice(0, parent), DIRECTORY_MODE);
    const last = check(resolveParent(this.walker, null, path));
    check<number>(makeDirectory(this.walker, last, mode));
  }

  private symlink(path: string, target: string): void {
    if (target === '' || target.includes('\0')) throw new FileError(EINVAL);
    const slash = path.lastIndexOf('/');
    if (slash > 0) this.mkdir(path.slice(0, slash), DIRECTORY_MODE);
    const last = check(resolveParent(this.walker, null, path));
    check<number>(makeSymlink(this.walker, last, target));
  }

  private move(from: string, to: string): void {
    const source = check(resolveParent(this.walker, null, from));
    const target = check(resolveParent(this.walker, null, to));
    check<number>(renameName(this.walker, source, target, 0));
  }

  private remove(path: string, recursive: boolean): void {
    const node = check<DentryNode>(resolve(this.walker, null, path, false));
    if (recursive && isDirectory(node.inode)) this.empty(node, path);
    const last = check(resolveParent(this.walker, null, path.replace(/\/+$/, '')));
    check<number>(isDirectory(node.inode) ? removeDirectory(this.walker, last) : removeFile(this.walker, last));
  }

  /** Removes what is in a directory, deepest first; links are removed, not followed. */
  private empty(directory: DentryNode, path: string): void {
    const file = this.open(path, O_RDONLY | O_DIRECTORY, 0);
    const names: string[] = [];
    try {
      check<number>(
        file.readDirectory((name) => {
          if (name !== '.' && name !== '..') names.push(name);
          return true;
        }),
      );
    } finally {
      file.release();
    }
    for (const name of names) {
      const child = directory.child(name);
      if (typeof child === 'number') continue;
      const last = { parent: directory, name, trailingSlash: false };
      if (!isDirectory(child.inode)) check<number>(removeFile(this.walker, last));
      else {
        this.empty(child, `${path}/${name}`);
        check<number>(removeDirectory(this.walker, last));
      }
    }
  }
}

function typeOf(mode: number): FileEntry['type'] {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    case S_IFIFO:
      return 'fifo';
    case S_IFSOCK:
      return 'socket';
    default:
      return 'device';
  }
}
