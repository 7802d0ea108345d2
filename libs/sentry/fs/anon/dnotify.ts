import * as abi from '../../abi/fcntl.js';
import { POLL_MSG } from '../../abi/signal.js';
import type { IoOwner } from '../../kernel/signals/io-owner.js';
import * as notify from '../../vfs/notify.js';
import type { CloseListener, Dentry, FileDescription, Inode } from '../../vfs/types.js';

/** DN_* that an event of inotify(7)'s kind means to the directory above. */
const MEANINGS: readonly (readonly [event: number, meaning: number])[] = [
  [notify.IN_ACCESS, abi.DN_ACCESS],
  [notify.IN_MODIFY, abi.DN_MODIFY],
  [notify.IN_ATTRIB, abi.DN_ATTRIB],
  [notify.IN_CREATE | notify.IN_MOVED_TO, abi.DN_CREATE],
  [notify.IN_DELETE | notify.IN_MOVED_FROM, abi.DN_DELETE],
];

/** Directories that somebody wants to hear of. */
const watched = new Map<Inode, Set<DirectoryNotification>>();

/** F_NOTIFY (dnotify): a signal when something happens in an open directory. */
export class DirectoryNotification implements CloseListener {
  nextCloseListener: CloseListener | null = null;
  mask = 0;

  private constructor(
    private readonly file: FileDescription,
    private readonly owner: IoOwner,
  ) {}

  static find(file: FileDescription): DirectoryNotification | null {
    for (let at = file.closeListeners; at; at = at.nextCloseListener) {
      if (at instanceof DirectoryNotification) return at;
    }
    return null;
  }

  /** Adds `mask` to what is wanted already; an empty one ends it. */
  static want(file: FileDescription, owner: IoOwner, mask: number): void {
    const known = DirectoryNotification.find(file);
    if ((mask & ~abi.DN_MULTISHOT) === 0) {
      known?.stop();
      return;
    }
    const notification = known ?? new DirectoryNotification(file, owner);
    if (!known) {
      notification.nextCloseListener = file.closeListeners;
      file.closeListeners = notification;
    }
    notification.mask |= mask;
    notification.start();
  }

  private start(): void {
    const { inode } = this.file;
    if (watched.size === 0) notify.addFileEvents(events);
    const others = watched.get(inode);
    if (others) others.add(this);
    else watched.set(inode, new Set([this]));
  }

  private stop(): void {
    this.mask = 0;
    const { inode } = this.file;
    const others = watched.get(inode);
    if (!others?.delete(this) || others.size > 0) return;
    watched.delete(inode);
    if (watched.size === 0) notify.removeFileEvents(events);
  }

  happened(meaning: number): void {
    if (!(this.mask & meaning)) return;
    if (!(this.mask & abi.DN_MULTISHOT)) this.stop();
    this.owner.tell(POLL_MSG);
  }

  onClose(): void {
    this.stop();
  }
}

let lastMove = 0;

const events: notify.FileEvents = {
  event(dentry: Dentry, mask: number, _name: string | null, cookie: number): void {
    const interested = watched.get(dentry.inode);
    if (!interested) return;
    let meaning = 0;
    for (const [event, what] of MEANINGS) if (mask & event) meaning |= what;
    // A move within the directory: seen going first, then coming.
    if (mask & notify.IN_MOVED_FROM) lastMove = cookie;
    if (mask & notify.IN_MOVED_TO && cookie === lastMove) meaning |= abi.DN_RENAME;
    for (const notification of [...interested]) notification.happened(meaning);
  },
};
