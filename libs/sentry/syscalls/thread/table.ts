import { ENOSYS } from '../../abi/errno.js';
import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, refused, type SyscallRow } from '../row.js';
import { futex } from './futex.js';
import { futexWaitv } from './futex-waitv.js';
import * as scheduling from './scheduling.js';
import { getRobustList, setRobustList, setTidAddress } from './thread-state.js';

const STORED = 'stored and reported; the host schedules';

/** System calls of the thread family: one row each. */
export const threadRows: readonly SyscallRow[] = [
  partial(
    'futex',
    'uaddr:address op:futex-op val:uint timeout:address uaddr2:address val3:uint',
    own(futex),
    'PI futexes hand ownership over without priorities; FUTEX_FD answers ENOSYS',
  ),
  full('futex_waitv', 'waiters:address nr:uint flags:hex timeout:timespec clockid:clock', own(futexWaitv)),
  refused('futex_wake', 'uaddr:address mask:hex nr:int flags:hex', ENOSYS, 'callers fall back to futex'),
  refused(
    'futex_wait',
    'uaddr:address val:hex mask:hex flags:hex timeout:timespec clockid:clock',
    ENOSYS,
    'callers fall back to futex',
  ),
  refused(
    'futex_requeue',
    'waiters:address flags:hex nr_wake:int nr_requeue:int',
    ENOSYS,
    'callers fall back to futex',
  ),
  full('set_robust_list', 'head:address len:size', own(setRobustList)),
  full('get_robust_list', 'pid:pid head:address len:address', own(getRobustList)),
  full('set_tid_address', 'tidptr:address', own(setTidAddress)),
  full('sched_yield', '', own(scheduling.schedYield)),
  full('sched_getaffinity', 'pid:pid cpusetsize:size mask:address', own(scheduling.schedGetaffinity)),
  partial('sched_setaffinity', 'pid:pid cpusetsize:size mask:address', own(scheduling.schedSetaffinity), STORED),
  partial(
    'getcpu',
    'cpu:address node:address tcache:address',
    own(scheduling.getcpu),
    'the first CPU of the affinity mask',
  ),
  partial(
    'sched_setscheduler',
    'pid:pid policy:sched-policy param:address',
    own(scheduling.schedSetscheduler),
    'OTHER, BATCH and IDLE, stored; real-time policies EPERM',
  ),
  full('sched_getscheduler', 'pid:pid', own(scheduling.schedGetscheduler)),
  partial('sched_setparam', 'pid:pid param:address', own(scheduling.schedSetparam), STORED),
  full('sched_getparam', 'pid:pid param:address', own(scheduling.schedGetparam)),
  full('sched_get_priority_max', 'policy:sched-policy', own(scheduling.schedGetPriorityMax)),
  full('sched_get_priority_min', 'policy:sched-policy', own(scheduling.schedGetPriorityMin)),
  partial('sched_rr_get_interval', 'pid:pid tp:timespec-out', own(scheduling.schedRrGetInterval), 'always 4 ms'),
  full('sched_getattr', 'pid:pid attr:address size:uint flags:hex', own(scheduling.schedGetattr)),
  partial('sched_setattr', 'pid:pid attr:address flags:hex', own(scheduling.schedSetattr), STORED),
];
