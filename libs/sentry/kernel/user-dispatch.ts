import { SIGSEGV, SIGSYS, SYS_USER_DISPATCH } from '../abi/signal.js';
import { Reg } from '../platform/platform.js';
import { signalInfo } from './signals/pending.js';
import { forceSignal, killGroup } from './signals/send.js';
import type { Task } from './task.js';

const TWO_32 = 0x1_0000_0000;
const SELECTOR_ALLOW = 0;
const SELECTOR_BLOCK = 1;

/** prctl(PR_SET_SYSCALL_USER_DISPATCH): calls from outside [start, start + length) become SIGSYS while `selector` says so. */
export interface UserDispatch {
  readonly start: number;
  readonly length: number;
  /** Address of a byte that switches it, or 0: always on. */
  readonly selector: number;
}

/** True when the call of `task` is not to be made: a signal waits for it instead (Linux's syscall_user_dispatch). */
export function dispatchToUser(task: Task, dispatch: UserDispatch, number: number): boolean {
  const { context } = task;
  const after = context.registersHigh[2 * Reg.RIP + 1] * TWO_32 + context.registersLow[2 * Reg.RIP];
  if (after >= dispatch.start && after < dispatch.start + dispatch.length) return false;
  if (dispatch.selector !== 0) {
    const byte = task.memory.readStruct(dispatch.selector, 1)?.getUint8(0);
    if (byte === SELECTOR_ALLOW) return false;
    if (byte !== SELECTOR_BLOCK) {
      killGroup(task.group, byte === undefined ? SIGSEGV : SIGSYS);
      return true;
    }
  }
  context.registersLow[2 * Reg.RAX] = number;
  context.registersHigh[2 * Reg.RAX + 1] = 0;
  const info = signalInfo(SIGSYS, SYS_USER_DISPATCH);
  info.address = after;
  info.status = number;
  forceSignal(task, info);
  return true;
}
