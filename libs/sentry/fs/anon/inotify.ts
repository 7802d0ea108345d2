import { EAGAIN, EEXIST, EFAULT, EINVAL, ENOSPC, ENOTTY } from '../../abi/errno.js';
import { O_NONBLOCK, O_RDONLY } from '../../abi/fcntl.js';
import * as abi from '../../abi/inotify.js';
import { FIONREAD } from '../../abi/ioctl.js';
import { S_IFDIR, S_IFMT } from '../../abi/stat.js';
import type { IoBuffer } from '../../mm/types.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import { addFileEvents, type FileEvents, removeFileEvents } from '../../vfs/notify.js';
import type { Caller, Dentry, Inode } from '../../vfs/types.js';
import { POLLIN, POLLRDNORM } from '../../vfs/wait-queue.js';

/** fs.inotify.max_queued_events, max_user_watches (of the sandbox), max_user_instances. */
const MAX_QUEUED = 16384;
const MAX_WATCHES = 65536;
export const MAX_INSTANCES = 128;
/** Names are padded to a multiple of this (sizeof struct inotify_event). */
const NAME_ALIGN = abi.INOTIFY_EVENT_SIZE;

interface Watch {
  readonly file: InotifyFile;
  readonly descriptor: number;
  readonly inode: Inode;
  mask: number;
}

interface QueuedEvent {
  readonly descriptor: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

/** All watches of the sandbox, by what they watch. */
const watches = new Map<Inode, Watch[]>();
let watchCount = 0;
let instances = 0;

export function inotifyInstances(): number {
  return instances;
}

/** Takes what the file layer tells to those who watch. Registered while there is at least one watch. */
const events: FileEvents = {
  event(dentry: Dentry, mask: number, name: string | null, cookie: number): void {
    const { inode } = dentry;
    const list = watches.get(inode);
    if (!list) return;
    const aboutItself = name === null && (mask & (abi.IN_DELETE_SELF | abi.IN_MOVE_SELF)) === 0;
    const onDirectory = aboutItself && (inode.mode & S_IFMT) === S_IFDIR ? abi.IN_ISDIR : 0;
    // A copy only when a watch may go away while we tell: one-shot watches and deleted objects.
    for (const watch of list.slice()) {
      if ((watch.mask & mask & abi.IN_ALL_EVENTS) === 0) {
        if (mask & abi.IN_DELETE_SELF) watch.file.forget(watch);
        continue;
      }
      watch.file.record(watch.descriptor, mask | onDirectory, cookie, name ?? '');
      if (watch.mask & abi.IN_ONESHOT || mask & abi.IN_DELETE_SELF) watch.file.forget(watch);
    }
  },
};

/** inotify(7): what happens to watched inodes, as a queue of records. */
export class InotifyFile extends AnonymousFile {
  readonly displayName = 'anon_inode:inotify';
  private readonly byDescriptor = new Map<number, Watch>();
  private nextDescriptor = 1;
  private readonly pending: QueuedEvent[] = [];
  private bytes = 0;

  constructor(flags: number) {
    super(O_RDONLY | (flags & abi.IN_NONBLOCK ? O_NONBLOCK : 0), anonymousPath());
    instances++;
  }

  /** Watches an inode, or changes its mask. The watch descriptor, -EEXIST (IN_MASK_CREATE), -ENOSPC. */
  watch(inode: Inode, mask: number): number {
    let list = watches.get(inode);
    const known = list?.find((watch) => watch.file === this);
    if (known) {
      if (mask & abi.IN_MASK_CREATE) return -EEXIST;
      known.mask = mask & abi.IN_MASK_ADD ? known.mask | mask : mask;
      return known.descriptor;
    }
    if (watchCount >= MAX_WATCHES) return -ENOSPC;
    const watch: Watch = { file: this, descriptor: this.nextDescriptor++, inode, mask };
    if (!list) {
      list = [];
      watches.set(inode, list);
    }
    list.push(watch);
    this.byDescriptor.set(watch.descriptor, watch);
    if (watchCount++ === 0) addFileEvents(events);
    return watch.descriptor;
  }

  /** inotify_rm_watch(2): 0 or -EINVAL. */
  unwatch(descriptor: number): number {
    const watch = this.byDescriptor.get(descriptor);
    if (!watch) return -EINVAL;
    this.forget(watch);
    return 0;
  }

  /** The watch is over; the guest reads IN_IGNORED. */
  forget(watch: Watch): void {
    if (!this.drop(watch)) return;
    this.record(watch.descriptor, abi.IN_IGNORED, 0, '');
  }

  private drop(watch: Watch): boolean {
    if (!this.byDescriptor.delete(watch.descriptor)) return false;
    const list = watches.get(watch.inode) ?? [];
    list.splice(list.indexOf(watch), 1);
    if (list.length === 0) watches.delete(watch.inode);
    if (--watchCount === 0) removeFileEvents(events);
    return true;
  }

  record(descriptor: number, mask: number, cookie: number, name: string): void {
    const last = this.pending.at(-1);
    // The same as the last one that waits tells nothing new.
    if (last && last.descriptor === descriptor && last.mask === mask && last.cookie === cookie && last.name === name)
      return;
    if (this.pending.length >= MAX_QUEUED) {
      if (last?.mask === abi.IN_Q_OVERFLOW) return;
      this.pending.push({ descriptor: -1, mask: abi.IN_Q_OVERFLOW, cookie: 0, name: '' });
      this.bytes += abi.INOTIFY_EVENT_SIZE;
    } else {
      this.pending.push({ descriptor, mask, cookie, name });
      this.bytes += recordLength(name);
    }
    this.waitQueue.wake(POLLIN | POLLRDNORM);
  }

  override read(io: IoBuffer, _caller: Caller): number {
    if (this.pending.length === 0) return -EAGAIN;
    let total = 0;
    let taken = 0;
    for (const event of this.pending) {
      const length = recordLength(event.name);
      if (length > io.remaining) break;
      if (io.put(encode(event, length), 0, length) !== length) return total > 0 ? this.consume(taken, total) : -EFAULT;
      total += length;
      taken++;
    }
    return total === 0 ? -EINVAL : this.consume(taken, total);
  }

  private consume(count: number, bytes: number): number {
    this.pending.splice(0, count);
    this.bytes -= bytes;
    return bytes;
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    if (request !== FIONREAD) return -ENOTTY;
    return caller.memory.writeU32(argument, this.bytes) ? 0 : -EFAULT;
  }

  poll(): number {
    return this.pending.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  protected override close(): void {
    instances--;
    for (const watch of [...this.byDescriptor.values()]) this.drop(watch);
  }
}

function recordLength(name: string): number {
  return abi.INOTIFY_EVENT_SIZE + (name === '' ? 0 : Math.ceil((name.length + 1) / NAME_ALIGN) * NAME_ALIGN);
}

const bytes = new Uint8Array(abi.INOTIFY_EVENT_SIZE + 272);
const view = new DataView(bytes.buffer);

function encode(event: QueuedEvent, length: number): Uint8Array {
  view.setInt32(0, event.descriptor, true);
  view.setUint32(4, event.mask >>> 0, true);
  view.setUint32(8, event.cookie, true);
  view.setUint32(12, length - abi.INOTIFY_EVENT_SIZE, true);
  bytes.fill(0, abi.INOTIFY_EVENT_SIZE, length);
  for (let at = 0; at < event.name.length; at++) bytes[abi.INOTIFY_EVENT_SIZE + at] = event.name.charCodeAt(at);
  return bytes;
}
