import { EAGAIN, EIO, ENOTTY, ERESTARTSYS } from '../../abi/errno.js';
import { O_NONBLOCK } from '../../abi/fcntl.js';
import { SIGTTIN, SIGTTOU } from '../../abi/signal.js';
import { TIOCSPGRP, TOSTOP, VMIN, VTIME } from '../../abi/termios.js';
import type { Task } from '../../kernel/task.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import type { Caller, Inode, Path } from '../../vfs/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, type WaitQueue } from '../../vfs/wait-queue.js';
import { checkForeground } from './job-control.js';
import type { Terminal } from './terminal.js';
import { terminalIoctl } from './terminal-ioctl.js';

/** Unit of VTIME. */
const TENTH: Nanoseconds = 1e8;

/** State of a read that waits: when it began. */
interface ReadWait {
  readonly began: Nanoseconds;
}

/** An open terminal. */
export class TerminalFile extends BaseFileDescription {
  private dead = false;

  constructor(
    readonly terminal: Terminal,
    path: Path,
    inode: Inode,
    flags: number,
  ) {
    super(path, inode, flags);
    terminal.files.add(this);
    terminal.peer.guestOpened();
  }

  override get waitQueue(): WaitQueue {
    return this.terminal.queue;
  }

  override get pollable(): boolean {
    return true;
  }

  /** The other side hung up: end of file from now on. */
  hangUp(): void {
    this.dead = true;
  }

  override read(io: IoBuffer, caller: Caller): number {
    const task = caller as Task;
    const waiting = task.state as ReadWait | null;
    // Whoever waits when the other side goes away hears of it; later readers see the end of the file.
    if (this.dead) return waiting ? -EIO : 0;
    const { terminal } = this;
    if (waiting === null) {
      const allowed = checkForeground(task, terminal, SIGTTIN);
      if (allowed !== 0) return allowed;
    }
    if (io.remaining === 0) return 0;
    const { discipline } = terminal;
    if (discipline.canonical) {
      if (!discipline.readable(1)) return -EAGAIN;
      const done = discipline.input.readLine(io);
      terminal.inputTaken();
      return done;
    }
    return this.readRaw(io, task, waiting);
  }

  /** VMIN and VTIME, the four cases of termios(3). */
  private readRaw(io: IoBuffer, task: Task, waiting: ReadWait | null): number {
    const { terminal } = this;
    const { input } = terminal.discipline;
    const { characters } = terminal.termios;
    const minimum = characters[VMIN];
    const available = input.commitHead - input.tail;
    if (available < Math.min(Math.max(1, minimum), io.remaining)) {
      const patient = !(this.flags & O_NONBLOCK) && !(available > 0 && task.signalPending());
      const expired = this.readDeadline(task.kernel.clock.monotonic(), waiting) <= task.kernel.clock.monotonic();
      if (!expired && (patient || available === 0)) return -EAGAIN;
    }
    const done = input.readRaw(io);
    terminal.inputTaken();
    return done;
  }

  /** When a waiting raw read gives up, or has waited long enough for the next byte. */
  private readDeadline(now: Nanoseconds, waiting: ReadWait | null): Nanoseconds {
    const { terminal } = this;
    const { characters } = terminal.termios;
    const time = characters[VTIME] * TENTH;
    const began = waiting?.began ?? now;
    if (characters[VMIN] === 0) return began + time;
    const { input } = terminal.discipline;
    if (time === 0 || input.commitHead === input.tail) return Number.POSITIVE_INFINITY;
    return Math.max(began, terminal.lastInput) + time;
  }

  /** As FileDescription.waitToRead. */
  waitToRead(caller: Caller): number {
    const task = caller as Task;
    const now = task.kernel.clock.monotonic();
    const waiting = (task.state as ReadWait | null) ?? { began: now };
    task.setState(waiting);
    task.waitOn(this.waitQueue, POLLIN);
    this.terminal.peer.inputWanted();
    const deadline = this.terminal.discipline.canonical ? Number.POSITIVE_INFINITY : this.readDeadline(now, waiting);
    return task.park(deadline, -ERESTARTSYS);
  }

  override write(io: IoBuffer, caller: Caller): number {
    if (this.dead) return -EIO;
    const { terminal } = this;
    const task = caller as Task;
    if (terminal.termios.localFlags & TOSTOP && task.state === null) {
      const allowed = checkForeground(task, terminal, SIGTTOU);
      if (allowed !== 0) return allowed;
    }
    return io.remaining === 0 ? 0 : terminal.write(io);
  }

  override poll(): number {
    if (this.dead) return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
    const { terminal } = this;
    const { characters } = terminal.termios;
    const minimum = characters[VTIME] === 0 && characters[VMIN] > 0 ? characters[VMIN] : 1;
    const readable = terminal.discipline.readable(minimum) ? POLLIN | POLLRDNORM : 0;
    if (!readable) terminal.peer.inputWanted();
    return readable | (terminal.writable ? POLLOUT | POLLWRNORM : 0);
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    if (this.dead) return request === TIOCSPGRP ? -ENOTTY : -EIO;
    return terminalIoctl(this.terminal, this, request, argument, caller as Task);
  }

  protected override close(): void {
    const { terminal } = this;
    terminal.files.delete(this);
    if (terminal.files.size === 0) terminal.peer.guestClosed();
  }
}
