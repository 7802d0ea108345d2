import { EPERM } from '../../abi/errno.js';
import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, refused, type SyscallRow } from '../row.js';
import { adjtimex, clockAdjtime } from './adjust.js';
import { clockGetres, clockGettime, clockSettime, gettimeofday, time } from './clock.js';
import { alarm, getitimer, setitimer } from './interval.js';
import { timerCreate, timerDelete, timerGetoverrun, timerGettime, timerSettime } from './posix-timer.js';
import { clockNanosleep, nanosleep, restartSyscall } from './sleep.js';

const READ_ONLY = 'reads an undisciplined clock; nobody sets a sandbox’s';
const CPU_TIMERS = 'CPU time is looked at every 10 ms';

/** System calls of the time family: one row each. */
export const timeRows: readonly SyscallRow[] = [
  full('nanosleep', 'req:timespec rem:timespec-out', own(nanosleep)),
  partial(
    'clock_nanosleep',
    'clockid:clock flags:hex req:timespec rem:timespec-out',
    own(clockNanosleep),
    'CPU clocks answer EOPNOTSUPP',
  ),
  full('restart_syscall', '', own(restartSyscall)),
  full('clock_gettime', 'clockid:clock tp:timespec-out', own(clockGettime)),
  full('clock_getres', 'clockid:clock res:timespec-out', own(clockGetres)),
  partial('clock_settime', 'clockid:clock tp:timespec', own(clockSettime), 'always EPERM or EINVAL'),
  partial('adjtimex', 'buf:address', own(adjtimex), READ_ONLY),
  partial('clock_adjtime', 'clockid:clock buf:address', own(clockAdjtime), READ_ONLY),
  refused('settimeofday', 'tv:timeval tz:address', EPERM, 'nobody sets a sandbox’s clock'),
  full('gettimeofday', 'tv:timeval-out tz:address', own(gettimeofday)),
  full('time', 'tloc:address', own(time)),
  full('alarm', 'seconds:uint', own(alarm)),
  full('getitimer', 'which:itimer value:address', own(getitimer)),
  partial('setitimer', 'which:itimer new:address old:address', own(setitimer), CPU_TIMERS),
  partial('timer_create', 'clockid:clock sevp:address timerid:address', own(timerCreate), CPU_TIMERS),
  full('timer_settime', 'timerid:int flags:hex new:itimerspec old:itimerspec-out', own(timerSettime)),
  full('timer_gettime', 'timerid:int value:itimerspec-out', own(timerGettime)),
  full('timer_getoverrun', 'timerid:int', own(timerGetoverrun)),
  full('timer_delete', 'timerid:int', own(timerDelete)),
];
