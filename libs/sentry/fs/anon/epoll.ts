import { EP_MAX_NESTS, EPOLL_EVENT_SIZE, EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP } from '../../abi/epoll.js';
import { EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, EPERM } from '../../abi/errno.js';
import { O_RDWR } from '../../abi/fcntl.js';
import type { GuestMemory } from '../../mm/types.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import type { CloseListener, FileDescription } from '../../vfs/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, WaitEntry, type Waiter } from '../../vfs/wait-queue.js';

const MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
const EXCLUSIVE_OK = POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLET | EPOLLEXCLUSIVE | EPOLLWAKEUP;

/** Events are gathered here before they are copied to the guest. */
const BATCH = 128;
const batch = new Uint8Array(BATCH * EPOLL_EVENT_SIZE);
const batchView = new DataView(batch.buffer);
const batchItems: (EpollItem | null)[] = new Array(BATCH).fill(null);

/** An interest: the pair (descriptor number, description), which is epoll's key. */
class EpollItem implements Waiter, CloseListener {
  nextCloseListener: CloseListener | null = null;
  readonly entry = new WaitEntry(this);
  /** Another item under the same number whose description lives on elsewhere. */
  nextSameFd: EpollItem | null = null;
  /** Poll bits wanted, with POLLERR and POLLHUP; 0 after EPOLLONESHOT fired. */
  wanted = 0;
  modes = 0;
  dataLow = 0;
  dataHigh = 0;
  /** Ready list. */
  ready = false;
  nextReady: EpollItem | null = null;
  previousReady: EpollItem | null = null;

  constructor(
    readonly epoll: EpollFile,
    readonly fd: number,
    readonly description: FileDescription,
  ) {}

  onWake(_entry: WaitEntry, events: number): boolean {
    return (this.wanted & events) !== 0 && this.epoll.itemReady(this);
  }

  onClose(): void {
    this.epoll.descriptionClosed(this);
  }

  /** Sets what is asked for; `events` is epoll_event.events. */
  arm(events: number, dataLow: number, dataHigh: number): void {
    this.wanted = (events & ~MODES) | POLLERR | POLLHUP;
    this.modes = events & MODES;
    this.dataLow = dataLow;
    this.dataHigh = dataHigh;
    this.entry.events = this.wanted;
    this.entry.exclusive = (events & EPOLLEXCLUSIVE) !== 0;
  }
}

/**
 * epoll(7). Every interest is an entry in its description's wait queue; a wake puts it on the ready list, and
 * `collect` asks the description again, so that spurious wakes never reach the guest.
 */
export class EpollFile extends AnonymousFile {
  readonly displayName = 'anon_inode:[eventpoll]';
  private readonly items = new Map<number, EpollItem>();
  private readyHead: EpollItem | null = null;
  private readyTail: EpollItem | null = null;
  private readyCount = 0;
  /** Epolls that watch this one, once per interest: for the nesting limits. */
  private readonly watchers: EpollFile[] = [];

  constructor() {
    super(O_RDWR, anonymousPath());
  }

  /** EPOLL_CTL_ADD: -EPERM for files that are always ready, -EEXIST, -ELOOP, -EINVAL. */
  add(fd: number, description: FileDescription, events: number, dataLow: number, dataHigh: number): number {
    if (!description.pollable) return -EPERM;
    if (description === this) return -EINVAL;
    if (events & EPOLLEXCLUSIVE && (description instanceof EpollFile || events & ~EXCLUSIVE_OK)) return -EINVAL;
    const first = this.items.get(fd) ?? null;
    for (let item = first; item; item = item.nextSameFd) if (item.description === description) return -EEXIST;
    if (description instanceof EpollFile) {
      if (description.reaches(this) || description.depthBelow() + 1 + this.depthAbove() > EP_MAX_NESTS) return -ELOOP;
      description.watchers.push(this);
    }
    const item = new EpollItem(this, fd, description);
    item.nextSameFd = first;
    this.items.set(fd, item);
    item.nextCloseListener = description.closeListeners;
    description.closeListeners = item;
    description.waitQueue.add(item.entry, 0);
    item.arm(events, dataLow, dataHigh);
    if (description.poll() & item.wanted) this.itemReady(item);
    return 0;
  }

  /** What is watched under a descriptor's number; the `index`th, where several descriptions are, oldest first. */
  target(fd: number, index: number): FileDescription | null {
    const found: FileDescription[] = [];
    for (let item = this.items.get(fd) ?? null; item; item = item.nextSameFd) found.unshift(item.description);
    return found[index] ?? null;
  }

  /** EPOLL_CTL_MOD: -ENOENT; -EINVAL with EPOLLEXCLUSIVE. */
  modify(fd: number, description: FileDescription, events: number, dataLow: number, dataHigh: number): number {
    const item = this.find(fd, description);
    if (!item) return -ENOENT;
    if ((events | item.modes) & EPOLLEXCLUSIVE) return -EINVAL;
    item.arm(events, dataLow, dataHigh);
    if (description.poll() & item.wanted) this.itemReady(item);
    return 0;
  }

  /** EPOLL_CTL_DEL: -ENOENT. */
  remove(fd: number, description: FileDescription): number {
    const item = this.find(fd, description);
    if (!item) return -ENOENT;
    unlinkCloseListener(description, item);
    this.forget(item);
    return 0;
  }

  /**
   * Copies up to `maxEvents` ready events to `address`. Returns how many (0: none ready), or -EFAULT if not one could
   * be stored. Level-triggered interests go to the back of the line, so that all get their turn.
   */
  collect(memory: GuestMemory, address: number, maxEvents: number): number {
    let left = this.readyCount;
    let total = 0;
    while (left > 0 && total < maxEvents) {
      const room = Math.min(BATCH, maxEvents - total);
      let count = 0;
      while (left > 0 && count < room) {
        left--;
        const item = this.readyHead as EpollItem;
        this.unready(item);
        const events = item.description.poll() & item.wanted;
        if (events === 0) continue;
        const at = count * EPOLL_EVENT_SIZE;
        batchView.setUint32(at, events, true);
        batchView.setUint32(at + 4, item.dataLow, true);
        batchView.setUint32(at + 8, item.dataHigh, true);
        batchItems[count++] = item;
      }
      const bytes = count * EPOLL_EVENT_SIZE;
      const copied = bytes === 0 ? 0 : memory.copyOut(address + total * EPOLL_EVENT_SIZE, batch, 0, bytes);
      const stored = Math.floor(copied / EPOLL_EVENT_SIZE);
      for (let index = 0; index < count; index++) {
        const item = batchItems[index] as EpollItem;
        batchItems[index] = null;
        if (index >= stored) this.enqueue(item);
        else if (item.modes & EPOLLONESHOT) item.wanted = 0;
        else if (!(item.modes & EPOLLET)) this.enqueue(item);
      }
      total += stored;
      if (stored < count) return total > 0 ? total : -EFAULT;
    }
    return total;
  }

  poll(): number {
    let left = this.readyCount;
    while (left-- > 0) {
      const item = this.readyHead as EpollItem;
      if (item.description.poll() & item.wanted) return POLLIN | POLLRDNORM;
      this.unready(item);
    }
    return 0;
  }

  /** Whether anybody waited here. */
  itemReady(item: EpollItem): boolean {
    if (!item.ready) this.enqueue(item);
    return this.waitQueue.wake(POLLIN | POLLRDNORM) > 0;
  }

  /** The description of an item is gone for good (it has taken the item off its list already). */
  descriptionClosed(item: EpollItem): void {
    this.forget(item);
  }

  /** For /proc/pid/fdinfo. */
  visit(each: (fd: number, events: number, dataLow: number, dataHigh: number, target: FileDescription) => void): void {
    for (let item of this.items.values())
      for (;;) {
        each(item.fd, item.wanted | item.modes, item.dataLow, item.dataHigh, item.description);
        if (!item.nextSameFd) break;
        item = item.nextSameFd;
      }
  }

  protected override close(): void {
    for (let item of this.items.values())
      for (;;) {
        const next = item.nextSameFd;
        unlinkCloseListener(item.description, item);
        this.detach(item);
        if (!next) break;
        item = next;
      }
    this.items.clear();
  }

  private find(fd: number, description: FileDescription): EpollItem | null {
    let item = this.items.get(fd) ?? null;
    while (item && item.description !== description) item = item.nextSameFd;
    return item;
  }

  private forget(item: EpollItem): void {
    this.detach(item);
    const first = this.items.get(item.fd);
    if (first === item) {
      if (item.nextSameFd) this.items.set(item.fd, item.nextSameFd);
      else this.items.delete(item.fd);
      return;
    }
    for (let at = first; at; at = at.nextSameFd ?? undefined)
      if (at.nextSameFd === item) {
        at.nextSameFd = item.nextSameFd;
        return;
      }
  }

  private detach(item: EpollItem): void {
    item.entry.queue?.remove(item.entry);
    if (item.ready) this.unready(item);
    if (item.description instanceof EpollFile) {
      const watchers = item.description.watchers;
      watchers.splice(watchers.indexOf(this), 1);
    }
  }

  private enqueue(item: EpollItem): void {
    item.ready = true;
    item.previousReady = this.readyTail;
    item.nextReady = null;
    if (this.readyTail) this.readyTail.nextReady = item;
    else this.readyHead = item;
    this.readyTail = item;
    this.readyCount++;
  }

  private unready(item: EpollItem): void {
    if (item.previousReady) item.previousReady.nextReady = item.nextReady;
    else this.readyHead = item.nextReady;
    if (item.nextReady) item.nextReady.previousReady = item.previousReady;
    else this.readyTail = item.previousReady;
    item.ready = false;
    item.nextReady = null;
    item.previousReady = null;
    this.readyCount--;
  }

  /** Whether `target` is this or is watched from here, however far down. Depth is bounded by EP_MAX_NESTS. */
  private reaches(target: EpollFile): boolean {
    if (this === target) return true;
    for (let up = 0; up < target.watchers.length; up++) if (this.reaches(target.watchers[up])) return true;
    return false;
  }

  private depthBelow(): number {
    let depth = 0;
    for (const first of this.items.values())
      for (let item: EpollItem | null = first; item; item = item.nextSameFd)
        if (item.description instanceof EpollFile) depth = Math.max(depth, item.description.depthBelow() + 1);
    return depth;
  }

  private depthAbove(): number {
    let depth = 0;
    for (const watcher of this.watchers) depth = Math.max(depth, watcher.depthAbove() + 1);
    return depth;
  }
}

function unlinkCloseListener(description: FileDescription, item: EpollItem): void {
  let previous: CloseListener | null = null;
  for (let at = description.closeListeners; at; previous = at, at = at.nextCloseListener) {
    if (at !== item) continue;
    if (previous) previous.nextCloseListener = at.nextCloseListener;
    else description.closeListeners = at.nextCloseListener;
    at.nextCloseListener = null;
    return;
  }
}
