import { EAGAIN, EFAULT } from '../../abi/errno.js';
import { SI_KERNEL, SIGCONT, SIGHUP, SIGWINCH } from '../../abi/signal.js';
import { makedev } from '../../abi/stat.js';
import {
  EXTPROC,
  IXON,
  NOFLSH,
  OPOST,
  TABDLY,
  TIOCPKT_DOSTOP,
  TIOCPKT_FLUSHREAD,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_IOCTL,
  TIOCPKT_NOSTOP,
  TIOCPKT_START,
  TIOCPKT_STOP,
  UNIX98_PTY_SLAVE_MAJOR,
  VSTART,
  VSTOP,
  XTABS,
} from '../../abi/termios.js';
import type { ProcessGroup, Session } from '../../kernel/session.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { ControllingTerminal } from '../../kernel/types.js';
import type { IoBuffer } from '../../mm/types.js';
import { ByteRing } from '../../net/byte-ring.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, WaitQueue } from '../../vfs/wait-queue.js';
import { type DisciplineHost, LineDiscipline } from './line-discipline.js';
import { ByteBuffer, MOST_EXPANSION } from './output-processor.js';
import type { TerminalFile } from './terminal-file.js';
import { Termios } from './termios.js';

/** Typed bytes that wait for room in the line discipline (Linux's flip buffer limit), and output that waits for its reader. */
const INCOMING_BYTES = 8192;
const OUTGOING_BYTES = 16384;
/** Echo that finds no room is dropped beyond this. */
const ECHO_BYTES = 4096;
/** What a flush (^C, TCOFLUSH) leaves: Linux has that much in the reader's own buffer already. */
const FLUSH_KEEPS = 4095;
const STAGING_BYTES = 4096;
const staging = new Uint8Array(STAGING_BYTES);
const processed = new ByteBuffer(STAGING_BYTES * MOST_EXPANSION);
const CTRL_S = 19;
const CTRL_Q = 17;

export interface WindowSize {
  rows: number;
  columns: number;
  xPixels: number;
  yPixels: number;
}

/** Who is on the other side of a terminal: a pseudoterminal's master, or the world outside the sandbox. */
export interface TerminalPeer {
  /** There is output in `terminal.output`. */
  outputReady(): void;
  /** There is room for typed bytes again. */
  inputRoom(): void;
  /** A program asks for input, and there is none. */
  inputWanted(): void;
  /** Packet mode (TIOCPKT): bits of the status byte to set, after clearing others. */
  status(set: number, clear: number): void;
  /** The first program has opened it, the last one has closed it. */
  guestOpened(): void;
  guestClosed(): void;
}

/** A terminal as programs see it: settings, line discipline, session, and bytes in both directions. */
export class Terminal implements DisciplineHost, ControllingTerminal {
  readonly deviceNumber: number;
  termios = new Termios();
  readonly window: WindowSize = { rows: 0, columns: 0, xPixels: 0, yPixels: 0 };
  session: Session | null = null;
  foregroundGroup = 0;
  /** Woken as it becomes readable or writable for programs. */
  readonly queue = new WaitQueue();
  readonly discipline = new LineDiscipline(this);
  /** Processed output, for the peer to take. */
  readonly output = new ByteRing(OUTGOING_BYTES);
  /** Typed bytes before the line discipline. */
  readonly incoming = new ByteRing(INCOMING_BYTES);
  readonly echoes = new ByteBuffer(64);
  readonly files = new Set<TerminalFile>();
  /** Output is held (^S, TCOOFF); `heldByProgram` (TCOOFF) is not undone by ^Q. */
  stopped = false;
  heldByProgram = false;
  exclusive = false;
  /** The master has not allowed opening yet (TIOCSPTLCK). */
  locked = false;
  /** TIOCSLCKTRMIOS: what of the settings cannot be changed; null: nothing. */
  termiosLocks: Termios | null = null;
  hungUp = false;
  /** Monotonic time of the last typed byte, for VTIME. */
  lastInput = 0;
  peer!: TerminalPeer;

  constructor(
    readonly index: number,
    private readonly now: () => number,
  ) {
    this.deviceNumber = makedev(UNIX98_PTY_SLAVE_MAJOR, index);
  }

  // Typed bytes

  /** Lets the line discipline take what waits, as far as it has room. */
  drainIncoming(): void {
    const { incoming, discipline } = this;
    const before = incoming.length;
    if (before === 0) return;
    while (incoming.length > 0) {
      const bytes = incoming.piece() as Uint8Array;
      const taken = discipline.receive(bytes, incoming.pieceOffset, incoming.pieceLength);
      if (taken === 0) break;
      incoming.discard(taken);
    }
    this.lastInput = this.now();
    this.sendEchoes();
    if (this.discipline.readable(1)) this.queue.wake(POLLIN | POLLRDNORM);
    if (incoming.length < before) this.peer.inputRoom();
  }

  /** A program has read: more may come in. */
  inputTaken(): void {
    this.drainIncoming();
  }

  typedSignal(signal: number): void {
    this.foreground()?.signal(signal);
    if (this.termios.localFlags & NOFLSH) return;
    this.echoes.length = 0;
    this.flushOutput();
    this.flushInput();
  }

  // Output

  /** Bytes of program output that are taken now, at least; 0 = wait. */
  private room(): number {
    if (this.stopped || this.echoes.length > 0) return 0;
    const { free } = this.output;
    if (free < 2 * MOST_EXPANSION) return 0;
    const { outputFlags } = this.termios;
    if (!(outputFlags & OPOST)) return free;
    return Math.floor(free / ((outputFlags & TABDLY) === XTABS ? MOST_EXPANSION : 2));
  }

  get writable(): boolean {
    return this.room() > 0;
  }

  /** One go at writing: bytes taken, -EAGAIN, -EFAULT. */
  write(io: IoBuffer): number {
    this.sendEchoes();
    let total = 0;
    while (io.remaining > 0) {
      const room = Math.min(this.room(), io.remaining, STAGING_BYTES);
      if (room === 0) break;
      const got = io.take(staging, 0, room);
      if (got === 0) break;
      this.put(staging, got);
      total += got;
    }
    if (total === 0) return io.faulted ? -EFAULT : -EAGAIN;
    this.peer.outputReady();
    return total;
  }

  private put(bytes: Uint8Array, length: number): void {
    let out = bytes;
    let count = length;
    if (this.termios.outputFlags & OPOST) {
      processed.length = 0;
      for (let index = 0; index < length; index++) this.discipline.output.process(bytes[index], processed);
      out = processed.bytes;
      count = processed.length;
    }
    const put = this.output.push(out, 0, count);
    // Only without kernel memory does less fit than there is room for: the rest goes with the echoes.
    for (let index = put; index < count; index++) this.echoes.put(out[index]);
  }

  /** Moves echo to the output. */
  sendEchoes(): void {
    const { echoes } = this;
    if (echoes.length === 0) return;
    if (!this.stopped) {
      const sent = this.output.push(echoes.bytes, 0, echoes.length);
      echoes.drop(sent);
      if (sent > 0) this.peer.outputReady();
    }
    if (echoes.length > ECHO_BYTES) echoes.length = ECHO_BYTES;
  }

  /** The peer has taken output. */
  outputTaken(): void {
    this.sendEchoes();
    if (this.writable) this.queue.wake(POLLOUT | POLLWRNORM);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.peer.status(TIOCPKT_STOP, TIOCPKT_START);
  }

  start(): void {
    if (!this.stopped || this.heldByProgram) return;
    this.stopped = false;
    this.peer.status(TIOCPKT_START, TIOCPKT_STOP);
    this.sendEchoes();
    this.queue.wake(POLLOUT | POLLWRNORM);
  }

  /** ^S or ^Q to the other side, also while output is held. */
  sendCharacter(c: number): void {
    staging[0] = c;
    if (this.output.push(staging, 0, 1) > 0) this.peer.outputReady();
  }

  /** Drops typed bytes that no program has read. */
  flushInput(): void {
    this.discipline.flushInput();
    this.peer.status(TIOCPKT_FLUSHREAD, 0);
  }

  /** Drops output that nobody has taken. */
  flushOutput(): void {
    const { output } = this;
    if (output.length > FLUSH_KEEPS) output.unwrite(output.length - FLUSH_KEEPS);
    this.peer.status(TIOCPKT_FLUSHWRITE, 0);
    this.queue.wake(POLLOUT | POLLWRNORM);
  }

  // Settings

  setTermios(next: Termios): void {
    const old = this.termios;
    next.asPseudoTerminal();
    this.termios = next;
    this.discipline.termiosChanged(old);
    if (old.inputFlags & IXON && !(next.inputFlags & IXON)) this.start();
    this.tellFlowControl(old, next);
    this.queue.wake(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    this.drainIncoming();
  }

  private tellFlowControl(old: Termios, next: Termios): void {
    const before = usesCtrlS(old);
    const after = usesCtrlS(next);
    if (before !== after) {
      if (after) this.peer.status(TIOCPKT_DOSTOP, TIOCPKT_NOSTOP);
      else this.peer.status(TIOCPKT_NOSTOP, TIOCPKT_DOSTOP);
    }
    if ((old.localFlags | next.localFlags) & EXTPROC) this.peer.status(TIOCPKT_IOCTL, 0);
  }

  /** TIOCSWINSZ: SIGWINCH to the foreground group when it changed. */
  resize(rows: number, columns: number, xPixels = 0, yPixels = 0): void {
    const { window } = this;
    const same =
      window.rows === rows && window.columns === columns && window.xPixels === xPixels && window.yPixels === yPixels;
    if (same) return;
    window.rows = rows;
    window.columns = columns;
    window.xPixels = xPixels;
    window.yPixels = yPixels;
    this.foreground()?.signal(SIGWINCH);
  }

  // Session

  foreground(): ProcessGroup | null {
    return this.foregroundGroup === 0 ? null : (this.session?.findGroup(this.foregroundGroup) ?? null);
  }

  /** Becomes the controlling terminal of a session leader, whose group is in the foreground then. */
  control(leader: ThreadGroup): void {
    this.session = leader.session;
    this.foregroundGroup = leader.processGroup.pgid;
    leader.terminal = this;
    leader.session.hungUpGroup = 0;
  }

  release(): void {
    this.session = null;
    this.foregroundGroup = 0;
  }

  /**
   * The other side is gone (pty(7), vhangup(2)): the session's leader gets SIGHUP and SIGCONT, the session loses its
   * terminal, and every description of it is dead.
   */
  hangUp(): void {
    if (this.hungUp) return;
    this.hungUp = true;
    const { session } = this;
    if (session) {
      session.hungUpGroup = this.foregroundGroup;
      session.forgetTerminal(this);
      this.release();
      for (const group of session.groups)
        for (const member of group.members) if (member.pid === session.sid) hangUpLeader(member);
    }
    this.output.clear();
    this.incoming.clear();
    for (const file of this.files) file.hangUp();
    this.queue.wake(HANG_UP_EVENTS);
  }
}

const HANG_UP_EVENTS = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | 0x18;

function hangUpLeader(leader: ThreadGroup): void {
  leader.sendSignal(signalInfo(SIGHUP, SI_KERNEL));
  leader.sendSignal(signalInfo(SIGCONT, SI_KERNEL));
}

function usesCtrlS(termios: Termios): boolean {
  const { inputFlags, characters } = termios;
  return (inputFlags & IXON) !== 0 && characters[VSTOP] === CTRL_S && characters[VSTART] === CTRL_Q;
}
