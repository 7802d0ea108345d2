import type { ThreadGroup } from './thread-group.js';
import type { ProcessGroup as ProcessGroupView, Session as SessionView } from './types.js';

/** What the kernel asks of a session's controlling terminal (fs/tty keeps the rest of it). */
export interface ControllingTerminal {
  /** The session's leader is gone: SIGHUP and SIGCONT to the foreground group, and no terminal any more. */
  sessionEnded?(session: Session): void;
}

export class Session implements SessionView {
  terminal: unknown = null;
  readonly groups = new Set<ProcessGroup>();

  constructor(readonly sid: number) {}
}

export class ProcessGroup implements ProcessGroupView {
  readonly members = new Set<ThreadGroup>();

  constructor(
    readonly pgid: number,
    readonly session: Session,
  ) {
    session.groups.add(this);
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
