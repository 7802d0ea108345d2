import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EFAULT, EINVAL, EIO, ENOTTY, EPERM, ESRCH } from '../../abi/errno.js';
import { O_ACCMODE, O_WRONLY } from '../../abi/fcntl.js';
import { FIONREAD } from '../../abi/ioctl.js';
import { SIGTTOU } from '../../abi/signal.js';
import {
  DISABLED_CHAR,
  TCFLSH,
  TCGETA,
  TCGETS,
  TCGETS2,
  TCIFLUSH,
  TCIOFF,
  TCIOFLUSH,
  TCION,
  TCOFLUSH,
  TCOOFF,
  TCOON,
  TCSBRK,
  TCSBRKP,
  TCSETA,
  TCSETAF,
  TCSETAW,
  TCSETS,
  TCSETS2,
  TCSETSF,
  TCSETSF2,
  TCSETSW,
  TCSETSW2,
  TCXONC,
  TERMIO_BYTES,
  TERMIOS_BYTES,
  TERMIOS2_BYTES,
  TIOCEXCL,
  TIOCGDEV,
  TIOCGETD,
  TIOCGEXCL,
  TIOCGLCKTRMIOS,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCNXCL,
  TIOCOUTQ,
  TIOCSCTTY,
  TIOCSETD,
  TIOCSLCKTRMIOS,
  TIOCSPGRP,
  TIOCSTI,
  TIOCSWINSZ,
  VSTART,
  VSTOP,
} from '../../abi/termios.js';
import { leaveTerminal, type Session } from '../../kernel/session.js';
import type { Task } from '../../kernel/task.js';
import type { FileDescription } from '../../vfs/types.js';
import { checkForeground } from './job-control.js';
import type { Terminal } from './terminal.js';
import { Termios } from './termios.js';

const WINSIZE_BYTES = 8;

const writeInt = (task: Task, address: number, value: number): number =>
  task.memory.writeU32(address, value >>> 0) ? 0 : -EFAULT;

/** ioctl_tty(2) on a terminal (not on its master). */
export function terminalIoctl(
  terminal: Terminal,
  file: FileDescription,
  request: number,
  argument: number,
  task: Task,
): number {
  switch (request) {
    case FIONREAD:
      return writeInt(task, argument, terminal.discipline.unread());
    case TIOCOUTQ:
      return writeInt(task, argument, 0);
    case TIOCSTI:
      // As with dev.tty.legacy_tiocsti = 0: nobody types for others.
      return -EIO;
    case TCFLSH:
      return checkForeground(task, terminal, SIGTTOU) || flush(terminal, argument);
    case TCXONC:
      return checkForeground(task, terminal, SIGTTOU) || flowControl(terminal, argument);
    case TCSBRK:
    case TCSBRKP:
      // Output leaves at once, and there is no line to break.
      return checkForeground(task, terminal, SIGTTOU);
    case TIOCNOTTY:
      return giveUp(terminal, task);
    case TIOCGPGRP:
    case TIOCGSID:
      return task.group.terminal === terminal ? sessionIds(terminal, request, argument, task) : -ENOTTY;
    default:
      return sharedIoctl(terminal, file, request, argument, task);
  }
}

/** Requests that a pseudoterminal's master answers for its terminal. */
export function sharedIoctl(
  terminal: Terminal,
  file: FileDescription,
  request: number,
  argument: number,
  task: Task,
): number {
  switch (request) {
    case TCGETS:
      return getTermios(terminal, argument, TERMIOS_BYTES, task);
    case TCGETS2:
      return getTermios(terminal, argument, TERMIOS2_BYTES, task);
    case TCGETA:
      return getTermios(terminal, argument, TERMIO_BYTES, task);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
      return setTermios(terminal, argument, TERMIOS_BYTES, request === TCSETSF, task);
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
      return setTermios(terminal, argument, TERMIOS2_BYTES, request === TCSETSF2, task);
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
      return setTermios(terminal, argument, TERMIO_BYTES, request === TCSETAF, task);
    case TIOCGLCKTRMIOS:
      return getLocks(terminal, argument, task);
    case TIOCSLCKTRMIOS:
      return setLocks(terminal, argument, task);
    case TIOCGWINSZ:
      return getWindow(terminal, argument, task);
    case TIOCSWINSZ:
      return setWindow(terminal, argument, task);
    case TIOCGPGRP:
    case TIOCGSID:
      return sessionIds(terminal, request, argument, task);
    case TIOCSPGRP:
      return setForeground(terminal, argument, task);
    case TIOCSCTTY:
      return setControlling(terminal, file, argument, task);
    case TIOCEXCL:
    case TIOCNXCL:
      terminal.exclusive = request === TIOCEXCL;
      return 0;
    case TIOCGEXCL:
      return writeInt(task, argument, terminal.exclusive ? 1 : 0);
    case TIOCGDEV:
      return writeInt(task, argument, terminal.deviceNumber);
    case TIOCGETD:
      return writeInt(task, argument, 0);
    case TIOCSETD: {
      // N_TTY is the only line discipline.
      const wanted = task.memory.readI32(argument);
      return Number.isNaN(wanted) ? -EFAULT : wanted === 0 ? 0 : -EINVAL;
    }
    default:
      return -ENOTTY;
  }
}

function getTermios(terminal: Terminal, address: number, length: number, task: Task): number {
  terminal.termios.encode(task.memory.scratch(length), length);
  return task.memory.writeStruct(address, length) ? 0 : -EFAULT;
}

function setTermios(terminal: Terminal, address: number, length: number, flushes: boolean, task: Task): number {
  const allowed = checkForeground(task, terminal, SIGTTOU);
  if (allowed !== 0) return allowed;
  const view = task.memory.readStruct(address, length);
  if (view === null) return -EFAULT;
  const next = terminal.termios.copy();
  next.decode(view, length);
  if (terminal.termiosLocks) next.keepLocked(terminal.termios, terminal.termiosLocks);
  if (flushes) terminal.flushInput();
  terminal.setTermios(next);
  return 0;
}

function getLocks(terminal: Terminal, address: number, task: Task): number {
  const view = task.memory.scratch(TERMIOS_BYTES);
  if (terminal.termiosLocks) terminal.termiosLocks.encode(view, TERMIOS_BYTES);
  else for (let at = 0; at < TERMIOS_BYTES; at++) view.setUint8(at, 0);
  return task.memory.writeStruct(address, TERMIOS_BYTES) ? 0 : -EFAULT;
}

function setLocks(terminal: Terminal, address: number, task: Task): number {
  if (!task.capable(CAP_SYS_ADMIN)) return -EPERM;
  const view = task.memory.readStruct(address, TERMIOS_BYTES);
  if (view === null) return -EFAULT;
  const locks = new Termios();
  locks.decode(view, TERMIOS_BYTES);
  terminal.termiosLocks = locks;
  return 0;
}

function getWindow(terminal: Terminal, address: number, task: Task): number {
  const { rows, columns, xPixels, yPixels } = terminal.window;
  const view = task.memory.scratch(WINSIZE_BYTES);
  view.setUint16(0, rows, true);
  view.setUint16(2, columns, true);
  view.setUint16(4, xPixels, true);
  view.setUint16(6, yPixels, true);
  return task.memory.writeStruct(address, WINSIZE_BYTES) ? 0 : -EFAULT;
}

function setWindow(terminal: Terminal, address: number, task: Task): number {
  const view = task.memory.readStruct(address, WINSIZE_BYTES);
  if (view === null) return -EFAULT;
  terminal.resize(view.getUint16(0, true), view.getUint16(2, true), view.getUint16(4, true), view.getUint16(6, true));
  return 0;
}

/** TCFLSH on a terminal. */
function flush(terminal: Terminal, which: number): number {
  if (which !== TCIFLUSH && which !== TCOFLUSH && which !== TCIOFLUSH) return -EINVAL;
  if (which !== TCOFLUSH) {
    terminal.flushInput();
    terminal.inputTaken();
  }
  if (which !== TCIFLUSH) terminal.flushOutput();
  return 0;
}

/** TCXONC: TCOOFF and TCOON hold and release output, TCIOFF and TCION send the other side ^S and ^Q. */
function flowControl(terminal: Terminal, action: number): number {
  switch (action) {
    case TCOOFF:
      if (terminal.heldByProgram) return 0;
      terminal.heldByProgram = true;
      terminal.stop();
      return 0;
    case TCOON:
      if (!terminal.heldByProgram) return 0;
      terminal.heldByProgram = false;
      terminal.start();
      return 0;
    case TCIOFF:
    case TCION: {
      const c = terminal.termios.characters[action === TCIOFF ? VSTOP : VSTART];
      if (c !== DISABLED_CHAR) terminal.sendCharacter(c);
      return 0;
    }
    default:
      return -EINVAL;
  }
}

function sessionIds(terminal: Terminal, request: number, address: number, task: Task): number {
  if (request === TIOCGPGRP) return writeInt(task, address, terminal.foregroundGroup);
  return terminal.session ? writeInt(task, address, terminal.session.sid) : -ENOTTY;
}

/** TIOCSPGRP: which group of the session is in the foreground. */
function setForeground(terminal: Terminal, address: number, task: Task): number {
  const allowed = checkForeground(task, terminal, SIGTTOU);
  if (allowed !== 0) return allowed === -EIO ? -ENOTTY : allowed;
  const pgid = task.memory.readI32(address);
  if (Number.isNaN(pgid)) return -EFAULT;
  if (pgid < 0) return -EINVAL;
  const { group, kernel } = task;
  if (group.terminal !== terminal || terminal.session !== group.session) return -ENOTTY;
  // A process that leads no group may be named as well (Linux's session_of_pgrp).
  const session = kernel.findProcessGroup(pgid)?.session ?? kernel.groups.get(pgid)?.session;
  if (!session) return -ESRCH;
  if (session !== group.session) return -EPERM;
  terminal.foregroundGroup = pgid;
  return 0;
}

/** TIOCSCTTY: a session leader without a terminal takes this one; argument 1 steals it, for CAP_SYS_ADMIN. */
function setControlling(terminal: Terminal, file: FileDescription, argument: number, task: Task): number {
  const { group } = task;
  const leads = group.session.sid === group.pid;
  if (leads && terminal.session === group.session) return 0;
  if (!leads || group.terminal) return -EPERM;
  const admin = task.capable(CAP_SYS_ADMIN);
  if (terminal.session) {
    if (argument !== 1 || !admin) return -EPERM;
    (terminal.session as Session).forgetTerminal(terminal);
  }
  if ((file.flags & O_ACCMODE) === O_WRONLY && !admin) return -EPERM;
  terminal.control(group);
  return 0;
}

/** TIOCNOTTY: the process has no terminal any more; if it leads the session, nobody there has. */
function giveUp(terminal: Terminal, task: Task): number {
  const { group } = task;
  if (group.terminal !== terminal) return -ENOTTY;
  leaveTerminal(group, false);
  group.terminal = null;
  return 0;
}
