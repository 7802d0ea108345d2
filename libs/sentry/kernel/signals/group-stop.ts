import { RunState } from '../run-state.js';
import type { Task } from '../task.js';
import type { ThreadGroup } from '../thread-group.js';
import { notifyStopped } from './notify.js';

/** A tracee's part in the stop counts also after its tracer has sent it on. */
function hasStopped(task: Task): boolean {
  return task.runState === RunState.Stopped || task.tracing?.tookPart === true;
}

/** A stop is complete when every live thread has stopped: then the parent hears of it. */
export function checkStopComplete(group: ThreadGroup): void {
  if (group.stopSignal === 0 || group.state !== 'running' || group.exiting) return;
  for (const task of group.tasks) if (!hasStopped(task)) return;
  group.state = 'stopped';
  group.stopUnreported = true;
  group.continueUnreported = false;
  // A parent that traces it knows already.
  if (group.leader.tracing === null || group.leader.tracing.tracer.group !== group.parent) notifyStopped(group);
}
