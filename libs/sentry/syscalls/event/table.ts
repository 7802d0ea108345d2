import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, type SyscallRow } from '../row.js';
import * as aio from './aio.js';
import { ioSubmit } from './aio-submit.js';
import { epollCreate, epollCreate1, epollCtl, epollPwait, epollPwait2, epollWait } from './epoll.js';
import { eventfd, eventfd2 } from './eventfd.js';
import { inotifyAddWatch, inotifyInit, inotifyInit1, inotifyRmWatch } from './inotify.js';
import { pipe, pipe2 } from './pipe.js';
import { poll, ppoll } from './poll.js';
import { pselect6, select } from './select.js';
import { signalfd, signalfd4 } from './signalfd.js';
import { timerfdCreate, timerfdGettime, timerfdSettime } from './timerfd.js';

const AIO = 'done before io_submit returns, at most 128 requests a call; no per-request flags (EOPNOTSUPP)';

/** System calls of the event family: one row each. */
export const eventRows: readonly SyscallRow[] = [
  full('pipe', 'pipefd:int-pair-out', pipe),
  full('pipe2', 'pipefd:int-pair-out flags:pipe-flags', pipe2),
  full('poll', 'fds:pollfd(nfds) nfds:uint timeout:int', poll),
  full('ppoll', 'fds:pollfd(nfds) nfds:uint timeout:timespec sigmask:sigset sigsetsize:size', ppoll),
  full('select', 'nfds:int readfds:address writefds:address exceptfds:address timeout:timeval', select),
  full(
    'pselect6',
    'nfds:int readfds:address writefds:address exceptfds:address timeout:timespec sig:address',
    pselect6,
  ),
  full('epoll_create', 'size:int', epollCreate, { result: 'fd' }),
  full('epoll_create1', 'flags:epoll-create-flags', epollCreate1, { result: 'fd' }),
  full('epoll_ctl', 'epfd:fd op:epoll-op fd:fd event:epoll-event', epollCtl),
  full('epoll_wait', 'epfd:fd events:epoll-event-array-out(maxevents) maxevents:int timeout:int', epollWait),
  full(
    'epoll_pwait',
    'epfd:fd events:epoll-event-array-out(maxevents) maxevents:int timeout:int sigmask:sigset sigsetsize:size',
    epollPwait,
  ),
  full(
    'epoll_pwait2',
    'epfd:fd events:epoll-event-array-out(maxevents) maxevents:int timeout:timespec sigmask:sigset sigsetsize:size',
    epollPwait2,
  ),
  full('eventfd', 'initval:uint', eventfd, { result: 'fd' }),
  full('eventfd2', 'initval:uint flags:eventfd-flags', eventfd2, { result: 'fd' }),
  full('timerfd_create', 'clockid:clock flags:timerfd-flags', timerfdCreate, { result: 'fd' }),
  partial(
    'timerfd_settime',
    'fd:fd flags:timerfd-settime-flags new:itimerspec old:itimerspec-out',
    timerfdSettime,
    'TFD_TIMER_CANCEL_ON_SET is accepted and never cancels: the clock of a sandbox is not set',
  ),
  full('timerfd_gettime', 'fd:fd value:itimerspec-out', timerfdGettime),
  full('signalfd', 'fd:fd mask:sigset sizemask:size', signalfd, { result: 'fd' }),
  full('signalfd4', 'fd:fd mask:sigset sizemask:size flags:signalfd-flags', signalfd4, { result: 'fd' }),
  partial('io_setup', 'nr_events:uint ctx_idp:address', own(aio.ioSetup), AIO),
  full('io_destroy', 'ctx_id:hex', own(aio.ioDestroy)),
  partial('io_submit', 'ctx_id:hex nr:long iocbpp:iocb-array(nr)', own(ioSubmit), AIO),
  full('io_cancel', 'ctx_id:hex iocb:address result:address', own(aio.ioCancel)),
  full('io_getevents', 'ctx_id:hex min_nr:long nr:long events:address timeout:timespec', own(aio.ioGetevents)),
  full(
    'io_pgetevents',
    'ctx_id:hex min_nr:long nr:long events:address timeout:timespec sig:address',
    own(aio.ioPgetevents),
  ),
  full('inotify_init', '', inotifyInit, { result: 'fd' }),
  full('inotify_init1', 'flags:inotify-flags', inotifyInit1, { result: 'fd' }),
  full('inotify_add_watch', 'fd:fd pathname:path mask:inotify-mask', inotifyAddWatch),
  full('inotify_rm_watch', 'fd:fd wd:int', inotifyRmWatch),
];
