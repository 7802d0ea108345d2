import { EIO, ERESTARTSYS } from '../../abi/errno.js';
import { SIG_IGN, SIGTTIN } from '../../abi/signal.js';
import { isOrphaned } from '../../kernel/session.js';
import { isBlocked } from '../../kernel/signals/send.js';
import type { Task } from '../../kernel/task.js';
import type { Terminal } from './terminal.js';

/**
 * May this process read (SIGTTIN) or write and change (SIGTTOU) its controlling terminal now? 0 in the foreground, and on
 * terminals that are not its own; else its group is sent the signal and the call starts anew once it is continued
 * (-ERESTARTSYS). When the signal is blocked or ignored: 0 for SIGTTOU, -EIO for SIGTTIN. -EIO in an orphaned group.
 */
export function checkForeground(task: Task, terminal: Terminal, signal: number): number {
  const { group } = task;
  if (group.terminal !== terminal) return 0;
  const { foregroundGroup } = terminal;
  if (foregroundGroup === 0 || group.processGroup.pgid === foregroundGroup) return 0;
  if (isBlocked(task, signal) || group.handlers.actions[signal].handler === SIG_IGN)
    return signal === SIGTTIN ? -EIO : 0;
  if (isOrphaned(group.processGroup, null)) return -EIO;
  group.processGroup.signal(signal);
  return -ERESTARTSYS;
}
