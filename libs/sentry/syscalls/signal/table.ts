import { kernelHandler as own } from '../kernel-handler.js';
import { full, type SyscallRow } from '../row.js';
import { rtSigaction, rtSigreturn, sigaltstack } from './action.js';
import { kill, rtSigqueueinfo, rtTgsigqueueinfo, tgkill, tkill } from './kill.js';
import { pause, rtSigpending, rtSigprocmask, rtSigsuspend, rtSigtimedwait } from './mask.js';

const SECURITY = { security: true } as const;

/** System calls of the signal family: one row each. */
export const signalRows: readonly SyscallRow[] = [
  full('rt_sigaction', 'signal:signal act:sigaction oldact:sigaction-out sigsetsize:size', own(rtSigaction)),
  full('rt_sigprocmask', 'how:sigmask-how set:sigset oldset:sigset-out sigsetsize:size', own(rtSigprocmask)),
  full('rt_sigreturn', '', own(rtSigreturn), { result: 'none' }),
  full('rt_sigpending', 'set:sigset-out sigsetsize:size', own(rtSigpending)),
  full('rt_sigsuspend', 'set:sigset sigsetsize:size', own(rtSigsuspend)),
  full('rt_sigtimedwait', 'set:sigset info:siginfo-out timeout:timespec sigsetsize:size', own(rtSigtimedwait)),
  full('rt_sigqueueinfo', 'pid:pid signal:signal info:address', own(rtSigqueueinfo), SECURITY),
  full('rt_tgsigqueueinfo', 'tgid:pid tid:pid signal:signal info:address', own(rtTgsigqueueinfo), SECURITY),
  full('sigaltstack', 'stack:address oldstack:address', own(sigaltstack)),
  full('pause', '', own(pause)),
  full('kill', 'pid:pid signal:signal', own(kill), SECURITY),
  full('tkill', 'tid:pid signal:signal', own(tkill), SECURITY),
  full('tgkill', 'tgid:pid tid:pid signal:signal', own(tgkill), SECURITY),
];
