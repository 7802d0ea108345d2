import { SI_KERNEL, SIGCONT, SIGHUP } from '../abi/signal.js';
import { signalInfo } from './signals/pending.js';
import type { ThreadGroup } from './thread-group.js';
import type { ControllingTerminal, ProcessGroup as ProcessGroupView, Session as SessionView } from './types.js';

export class Session implements SessionView {
  readonly groups = new Set<ProcessGroup>();
  /** Foreground group (its id) of the terminal that was hung up under this session: it is told when the leader goes, too. */
  hungUpGroup = 0;

  constructor(readonly sid: number) {}

  findGroup(pgid: number): ProcessGroup | null {
    for (const group of this.groups) if (group.pgid === pgid) return group;
    return null;
  }

  /** No process of the session has this terminal any more. */
  forgetTerminal(terminal: ControllingTerminal): void {
    for (const group of this.groups)
      for (const member of group.members) if (member.terminal === terminal) member.terminal = null;
  }
}

export class ProcessGroup implements ProcessGroupView {
  readonly members = new Set<ThreadGroup>();

  constructor(
    readonly pgid: number,
    readonly session: Session,
  ) {
    session.groups.add(this);
  }

  /** A signal from the kernel to every process of the group. */
  signal(signal: number): void {
    for (const member of [...this.members]) member.sendSignal(signalInfo(signal, SI_KERNEL));
  }
}

/**
 * True when no member has a parent in another group of the same session: nobody is left to continue it when it stops
 * (POSIX orphaned process group). `ignored` is a process about to leave.
 */
export function isOrphaned(group: ProcessGroup, ignored: ThreadGroup | null): boolean {
  for (const member of group.members) {
    if (member === ignored || member.state === 'dead' || member.state === 'zombie') continue;
    const parent = member.parent;
    if (!parent) continue;
    if (parent.processGroup !== group && parent.session === group.session) return false;
  }
  return true;
}

export function hasStoppedMember(group: ProcessGroup): boolean {
  for (const member of group.members) if (member.state === 'stopped') return true;
  return false;
}

/**
 * A session leader gives up its terminal (TIOCNOTTY) or ends (Linux's disassociate_ctty): the foreground group is hung
 * up, and the whole session has no terminal any more. No-op for others.
 */
export function leaveTerminal(leader: ThreadGroup, exiting: boolean): void {
  const { session, terminal } = leader;
  if (session.sid !== leader.pid) return;
  if (terminal) {
    const foreground = session.findGroup(terminal.foregroundGroup);
    foreground?.signal(SIGHUP);
    if (!exiting) foreground?.signal(SIGCONT);
    terminal.release();
    session.forgetTerminal(terminal);
  } else if (exiting && session.hungUpGroup !== 0) {
    const hungUp = session.findGroup(session.hungUpGroup);
    hungUp?.signal(SIGHUP);
    hungUp?.signal(SIGCONT);
  }
  session.hungUpGroup = 0;
}
