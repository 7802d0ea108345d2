import { O_ACCMODE, O_ASYNC, O_RDONLY, O_WRONLY } from '../../abi/fcntl.js';
import { POLL_HUP, POLL_IN, POLL_OUT, POLL_PRI, SI_KERNEL, SI_SIGIO, SIGIO, SIGURG } from '../../abi/signal.js';
import type { CloseListener, Credentials, FileDescription } from '../../vfs/types.js';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
  WaitEntry,
  type Waiter,
} from '../../vfs/wait-queue.js';
import type { Kernel } from '../kernel.js';
import type { ThreadGroup } from '../thread-group.js';
import { signalInfo } from './pending.js';
import { hasCodesOfItsOwn, sendToGroup, sendToTask } from './send.js';

export type OwnerKind = 'thread' | 'process' | 'group';

const READING = POLLIN | POLLRDNORM | POLLRDHUP;
const WRITING = POLLOUT | POLLWRNORM;
/** POLL* bits that siginfo tells for each POLL_ code (fs/fcntl.c, band_table). */
const BANDS: readonly number[] = [
  0,
  POLLIN | POLLRDNORM,
  POLLOUT | POLLWRNORM | POLLWRBAND,
  POLLIN | POLLRDNORM | 0x400,
  POLLERR,
  POLLPRI | POLLRDBAND,
  POLLHUP | POLLERR,
];

/**
 * Who hears by signal of what happens to an open file (fcntl(2), F_SETOWN): of readiness with O_ASYNC, of a socket's
 * urgent data always. Lives in the description's list of close listeners.
 */
export class IoOwner implements Waiter, CloseListener {
  nextCloseListener: CloseListener | null = null;
  kind: OwnerKind = 'process';
  /** Thread, process or process group; 0: nobody. */
  id = 0;
  /** F_SETSIG; 0: SIGIO without particulars. */
  signal = 0;
  /** The descriptor that switched O_ASYNC on, which the signal names. */
  fd = -1;
  /** Of whoever set the owner: it must be allowed to send signals to it. */
  private setBy: Credentials | null = null;
  private readonly entry = new WaitEntry(this);

  private constructor(
    private readonly kernel: Kernel,
    private readonly file: FileDescription,
  ) {}

  static find(file: FileDescription): IoOwner | null {
    for (let at = file.closeListeners; at; at = at.nextCloseListener) if (at instanceof IoOwner) return at;
    return null;
  }

  static of(kernel: Kernel, file: FileDescription): IoOwner {
    const known = IoOwner.find(file);
    if (known) return known;
    const owner = new IoOwner(kernel, file);
    owner.nextCloseListener = file.closeListeners;
    file.closeListeners = owner;
    return owner;
  }

  set(kind: OwnerKind, id: number, setBy: Credentials): void {
    this.kind = kind;
    this.id = id;
    // As they are now; and a description that lives on holds nothing else of who has set it.
    this.setBy = { ...setBy, landlock: null };
    this.listen();
  }

  /** To be called when O_ASYNC or the owner has changed. */
  listen(): void {
    this.entry.queue?.remove(this.entry);
    if (!this.file.pollable || this.id === 0) return;
    const access = this.file.flags & O_ACCMODE;
    const asked = (access === O_WRONLY ? 0 : READING) | (access === O_RDONLY ? 0 : WRITING);
    this.file.waitQueue.add(this.entry, POLLPRI | (this.file.flags & O_ASYNC ? asked : 0));
  }

  onWake(entry: WaitEntry, events: number): void {
    if (events & POLLPRI) this.send(SIGURG, SI_KERNEL);
    if (!(this.file.flags & O_ASYNC)) return;
    const heard = events & entry.events;
    if (heard & POLLPRI) this.tell(POLL_PRI);
    else if (heard & READING) this.tell(POLL_IN);
    else if (heard & WRITING) this.tell(POLL_OUT);
    else this.tell(POLL_HUP);
  }

  /** SIGIO, or the signal of F_SETSIG with the POLL_ code, the descriptor and the band. */
  tell(code: number): void {
    if (this.signal === 0) this.send(SIGIO, SI_KERNEL);
    else this.send(this.signal, this.signal !== SIGIO && hasCodesOfItsOwn(this.signal) ? SI_SIGIO : code, code);
  }

  private send(signal: number, code: number, band = 0): void {
    for (const group of this.recipients()) {
      const info = signalInfo(signal, code);
      info.value = BANDS[band];
      info.status = this.fd;
      const thread = this.kind === 'thread' ? this.kernel.tasks.get(this.id) : null;
      if (thread) sendToTask(thread, info);
      else sendToGroup(group, info);
    }
  }

  private recipients(): ThreadGroup[] {
    const { groups, tasks } = this.kernel;
    let found: ThreadGroup[];
    if (this.kind === 'group') found = [...groups.values()].filter((group) => group.processGroup.pgid === this.id);
    else {
      const one = this.kind === 'thread' ? tasks.get(this.id)?.group : groups.get(this.id);
      found = one ? [one] : [];
    }
    return found.filter((group) => this.maySignal(group));
  }

  /** Linux's sigio_perm. */
  private maySignal(group: ThreadGroup): boolean {
    const from = this.setBy;
    const target = group.leader.credentials;
    if (!from || from.euid === 0) return true;
    return [from.euid, from.uid].some((uid) => uid === target.suid || uid === target.uid);
  }

  onClose(): void {
    this.entry.queue?.remove(this.entry);
  }
}
