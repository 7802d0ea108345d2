import { EAGAIN, EFAULT, EINVAL, EIO } from '../../abi/errno.js';
import { O_CLOEXEC, O_NOCTTY } from '../../abi/fcntl.js';
import { FIONREAD } from '../../abi/ioctl.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.js';
import {
  TCFLSH,
  TCIFLUSH,
  TCIOFLUSH,
  TCOFLUSH,
  TIOCGPKT,
  TIOCGPTLCK,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCOUTQ,
  TIOCPKT,
  TIOCPKT_DATA,
  TIOCSIG,
  TIOCSPTLCK,
} from '../../abi/termios.js';
import type { Task } from '../../kernel/task.js';
import type { IoBuffer } from '../../mm/types.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import type { Caller, FileDescription, Inode, Path } from '../../vfs/types.js';
import { POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';
import type { Terminal, TerminalPeer } from './terminal.js';
import { sharedIoctl } from './terminal-ioctl.js';

/** Most bytes one read gives (a line discipline's buffer, in Linux). */
const READ_MAX = 4095;
const statusByte = new Uint8Array(1);

/** What a master needs of the table of terminals. */
export interface MasterOwner {
  /** Opens the terminal of a master without its name (TIOCGPTPEER). */
  openPeer(terminal: Terminal, flags: number, caller: Task): FileDescription | number;
  masterClosed(terminal: Terminal): void;
  /** No program has it open any more. */
  released(terminal: Terminal): void;
}

/** The master of a pseudoterminal (pty(7)): what its holder writes is typed, what programs write is read here. */
export class MasterFile extends BaseFileDescription implements TerminalPeer {
  private packets = false;
  private packetStatus = 0;
  /** Every description of the terminal has been closed (and there had been one). */
  private alone = false;

  constructor(
    readonly terminal: Terminal,
    private readonly owner: MasterOwner,
    path: Path,
    inode: Inode,
    flags: number,
  ) {
    super(path, inode, flags);
    terminal.peer = this;
  }

  override get pollable(): boolean {
    return true;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    if (io.remaining === 0) return 0;
    if (this.packets && this.packetStatus !== 0) {
      statusByte[0] = this.packetStatus;
      if (io.put(statusByte, 0, 1) === 0) return -EFAULT;
      this.packetStatus = 0;
      return 1;
    }
    const { output } = this.terminal;
    if (output.length === 0) return this.alone ? -EIO : -EAGAIN;
    let header = 0;
    if (this.packets) {
      statusByte[0] = TIOCPKT_DATA;
      if (io.put(statusByte, 0, 1) === 0) return -EFAULT;
      header = 1;
    }
    const done = output.read(io, READ_MAX);
    this.terminal.outputTaken();
    return done < 0 ? (header > 0 ? header : done) : done + header;
  }

  override write(io: IoBuffer, _caller: Caller): number {
    if (io.remaining === 0) return 0;
    const { terminal } = this;
    let total = 0;
    while (io.remaining > 0) {
      const taken = terminal.incoming.write(io, io.remaining);
      if (taken <= 0) return total > 0 ? total : taken === 0 ? -EAGAIN : taken;
      total += taken;
      terminal.drainIncoming();
    }
    return total;
  }

  override poll(): number {
    const { terminal } = this;
    let events = 0;
    if (terminal.output.length > 0) events |= POLLIN | POLLRDNORM;
    if (this.packets && this.packetStatus !== 0) events |= POLLPRI | POLLIN | POLLRDNORM;
    if (this.alone) events |= POLLHUP;
    if (terminal.incoming.free > 0) events |= POLLOUT | POLLWRNORM;
    return events;
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    const { terminal } = this;
    const task = caller as Task;
    switch (request) {
      case FIONREAD:
        return this.writeInt(task, argument, terminal.output.length);
      case TIOCOUTQ:
        return this.writeInt(task, argument, 0);
      case TIOCGPTN:
        return this.writeInt(task, argument, terminal.index);
      case TIOCSPTLCK:
        return this.setFlag(task, argument, (on) => {
          terminal.locked = on;
        });
      case TIOCGPTLCK:
        return this.writeInt(task, argument, terminal.locked ? 1 : 0);
      case TIOCPKT:
        return this.setFlag(task, argument, (on) => this.setPacketMode(on));
      case TIOCGPKT:
        return this.writeInt(task, argument, this.packets ? 1 : 0);
      case TIOCGPTPEER:
        return this.openPeer(task, argument | 0);
      case TIOCSIG:
        if (argument !== SIGINT && argument !== SIGQUIT && argument !== SIGTSTP) return -EINVAL;
        terminal.foreground()?.signal(argument);
        return 0;
      case TCFLSH:
        return this.flushQueues(argument);
      default:
        return sharedIoctl(terminal, this, request, argument, task);
    }
  }

  private writeInt(task: Task, address: number, value: number): number {
    return task.memory.writeU32(address, value) ? 0 : -EFAULT;
  }

  private setFlag(task: Task, address: number, set: (on: boolean) => void): number {
    const value = task.memory.readI32(address);
    if (Number.isNaN(value)) return -EFAULT;
    set(value !== 0);
    return 0;
  }

  private setPacketMode(on: boolean): void {
    if (on && !this.packets) this.packetStatus = 0;
    this.packets = on;
  }

  private openPeer(task: Task, flags: number): number {
    const file = this.owner.openPeer(this.terminal, flags & ~(O_CLOEXEC | O_NOCTTY), task);
    if (typeof file === 'number') return file;
    const fd = task.files.install(file, (flags & O_CLOEXEC) !== 0, 0, task.rlimit(RLIMIT_NOFILE));
    if (fd < 0) file.release();
    return fd;
  }

  /** TCFLSH: the master's input is the programs' output. */
  private flushQueues(which: number): number {
    if (which !== TCIFLUSH && which !== TCOFLUSH && which !== TCIOFLUSH) return -EINVAL;
    if (which !== TCOFLUSH) {
      this.terminal.output.clear();
      this.terminal.outputTaken();
    }
    if (which !== TCIFLUSH) {
      this.terminal.incoming.clear();
      this.inputRoom();
    }
    return 0;
  }

  // What the terminal tells its master

  outputReady(): void {
    this.waitQueue.wake(POLLIN | POLLRDNORM);
  }

  inputRoom(): void {
    this.waitQueue.wake(POLLOUT | POLLWRNORM);
  }

  inputWanted(): void {}

  status(set: number, clear: number): void {
    if (!this.packets) return;
    this.packetStatus = (this.packetStatus & ~clear) | set;
    this.waitQueue.wake(POLLIN | POLLPRI | POLLRDNORM);
  }

  guestOpened(): void {
    this.alone = false;
  }

  guestClosed(): void {
    this.alone = true;
    this.packets = false;
    this.waitQueue.wake(POLLIN | POLLOUT | POLLHUP);
    this.owner.released(this.terminal);
  }

  protected override close(): void {
    this.owner.masterClosed(this.terminal);
  }
}
