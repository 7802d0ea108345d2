import { ENOTDIR } from '../../abi/errno.js';
import { O_DIRECTORY, O_RDONLY, R_OK } from '../../abi/fcntl.js';
import {
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_ISDIR,
  IN_MODIFY,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_NONBLOCK,
  IN_Q_OVERFLOW,
  INOTIFY_EVENT_SIZE,
} from '../../abi/inotify.js';
import { InotifyFile } from '../../fs/anon/inotify.js';
import { BufferIo } from '../../mm/io.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { openAt } from '../../vfs/open.js';
import { isDirectory, resolve, type Walker } from '../../vfs/path-walk.js';
import { checkAccess } from '../../vfs/permissions.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLIN, POLLOUT, WaitEntry } from '../../vfs/wait-queue.js';
import type { OutputStream } from './output-stream.js';
import type { WatchEvent } from './session-message.js';

const WATCHED =
  IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_DELETE | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
const TYPES: readonly (readonly [mask: number, type: WatchEvent['type']])[] = [
  [IN_CREATE | IN_MOVED_TO, 'create'],
  [IN_MODIFY, 'write'],
  [IN_DELETE, 'remove'],
  [IN_MOVED_FROM, 'rename'],
  [IN_ATTRIB, 'chmod'],
];
/** Directories below a watched one that are watched, too. */
const DIRECTORIES_MOST = 4096;
/** Room for the longest record (a name of 255 bytes). */
const RECORD_MOST = INOTIFY_EVENT_SIZE + 256;
const scratch = new Uint8Array(RECORD_MOST);
const view = new DataView(scratch.buffer);
const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

/**
 * What happens in a directory, told to the outside: inotify(7) whose reader is the supervisor. Events are lines of JSON, output of
 * the stream that asked; while the reader gives no credit they wait in inotify's own queue, which says when it overflowed.
 */
export class SessionWatch {
  private readonly file = new InotifyFile(IN_NONBLOCK);
  /** The directory of each watch, below the top one; '' is that one. */
  private readonly places = new Map<number, string>();
  /** Lines that wait for room. */
  private readonly lines: Buffer[] = [];
  private finished = false;
  private readonly news = new WaitEntry({ onWake: () => this.soon() });
  private readonly room = new WaitEntry({ onWake: () => this.soon() });

  private constructor(
    private readonly walker: Walker,
    private readonly top: string,
    private readonly recursive: boolean,
    private readonly output: OutputStream,
    private readonly soon: () => void,
    private readonly over: () => void,
  ) {
    this.file.waitQueue.add(this.news, POLLIN);
    output.onWritable.add(this.room, POLLOUT);
  }

  /** `path`: absolute, of a directory that may be read. -ENOTDIR, -EACCES, -ENOSPC (too many watches) and those of a path. */
  static open(
    walker: Walker,
    path: string,
    recursive: boolean,
    output: OutputStream,
    soon: (watch: SessionWatch) => void,
    over: () => void,
  ): SessionWatch | number {
    const watch: SessionWatch = new SessionWatch(walker, path, recursive, output, () => soon(watch), over);
    const added = watch.add('', false);
    if (added >= 0) return watch;
    watch.finished = true;
    watch.release();
    return added;
  }

  /** `fresh`: made while we watch: what is in it already has been made as well. */
  private add(place: string, fresh: boolean): number {
    if (this.places.size >= DIRECTORIES_MOST) return 0;
    const path = place === '' ? this.top : `${this.top}/${place}`;
    const node = resolve(this.walker, null, path, place === '');
    if (typeof node === 'number') return node;
    if (!isDirectory(node.inode)) return -ENOTDIR;
    const allowed = checkAccess(node.inode, R_OK, this.walker.credentials);
    if (allowed < 0) return allowed;
    const descriptor = this.file.watch(node.inode, WATCHED);
    if (descriptor < 0) return descriptor;
    this.places.set(descriptor, place);
    if (this.recursive) this.addBelow(node as DentryNode, path, place, fresh);
    return 0;
  }

  private addBelow(directory: DentryNode, path: string, place: string, fresh: boolean): void {
    const file = openAt(this.walker, null, path, O_RDONLY | O_DIRECTORY, 0) as FileDescription | number;
    if (typeof file === 'number') return;
    const names: string[] = [];
    file.readDirectory((name) => {
      if (name !== '.' && name !== '..') names.push(name);
      return true;
    });
    file.release();
    for (const name of names) {
      const child = directory.child(name);
      if (typeof child === 'number') continue;
      const below = place === '' ? name : `${place}/${name}`;
      if (fresh) this.tell('create', below);
      if (isDirectory(child.inode)) this.add(below, fresh);
    }
  }

  /** Moves what can be moved. */
  pump(): void {
    while (!this.finished) {
      if (!this.writeLines()) return;
      const io = new BufferIo(scratch, 0, RECORD_MOST);
      // One record at a time: no second one fits behind the longest, and what is left is read again.
      const length = this.file.read(io, this.walker);
      if (length < 0) return;
      for (let at = 0; at < length; ) at += this.understand(at);
    }
  }

  /** False when there is no room for the next one. */
  private writeLines(): boolean {
    for (;;) {
      const line = this.lines[0];
      if (line === undefined) return true;
      if (this.output.room() < line.length) return false;
      this.output.stdout.write(line, 0, line.length);
      this.lines.shift();
    }
  }

  /** The record at an offset; its length. */
  private understand(at: number): number {
    const descriptor = view.getInt32(at, true);
    const mask = view.getUint32(at + 4, true);
    const size = view.getUint32(at + 12, true);
    const start = at + INOTIFY_EVENT_SIZE;
    const name = Buffer.from(scratch.subarray(start, start + size))
      .toString('latin1')
      .replace(/\0+$/, '');
    const place = this.places.get(descriptor);
    if (mask & IN_Q_OVERFLOW) this.tell('overflow', '');
    else if (place !== undefined) this.happened(place, mask, name);
    return INOTIFY_EVENT_SIZE + size;
  }

  private happened(place: string, mask: number, name: string): void {
    if (mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
      // Of one below, its parent tells.
      if (place === '') this.close();
      return;
    }
    // Its own attributes; of one below, its parent tells.
    if (name === '') return;
    const below = place === '' ? name : `${place}/${name}`;
    const type = TYPES.find(([bits]) => mask & bits)?.[1];
    if (type) this.tell(type, below);
    if (this.recursive && type === 'create' && mask & IN_ISDIR) this.add(below, true);
  }

  private tell(type: WatchEvent['type'], path: string): void {
    const event: WatchEvent = { type, path: textOf(path) };
    this.lines.push(Buffer.from(`${JSON.stringify(event)}\n`, 'utf8'));
  }

  close(): void {
    if (this.finished) return;
    this.finished = true;
    this.release();
    this.over();
  }

  private release(): void {
    this.file.waitQueue.remove(this.news);
    this.output.onWritable.remove(this.room);
    this.file.release();
  }
}
