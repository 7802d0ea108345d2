/** epoll(7), eventfd(2), timerfd_create(2) and signalfd(2) constants and layouts, as in Linux's uapi headers. */
export const EPOLL_CLOEXEC = 0o2000000;

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;

/** The low bits are poll's (vfs/wait-queue.ts). These are the modes of an interest. */
export const EPOLLEXCLUSIVE = 0x10000000;
export const EPOLLWAKEUP = 0x20000000;
export const EPOLLONESHOT = 0x40000000;
/** As a signed 32-bit value. */
export const EPOLLET = 0x80000000 | 0;

/** `struct epoll_event` is packed on x86-64: u32 events at 0, u64 data at 4. */
export const EPOLL_EVENT_SIZE = 12;
/** EP_MAX_EVENTS: more than this cannot be asked for at once. */
export const EP_MAX_EVENTS = Math.floor(0x7fffffff / EPOLL_EVENT_SIZE);
/** EP_MAX_NESTS: deepest chain of epolls watching epolls. */
export const EP_MAX_NESTS = 4;

export const EFD_SEMAPHORE = 1;
export const EFD_CLOEXEC = 0o2000000;
export const EFD_NONBLOCK = 0o4000;

export const TFD_TIMER_ABSTIME = 1;
export const TFD_TIMER_CANCEL_ON_SET = 2;
export const TFD_CLOEXEC = 0o2000000;
export const TFD_NONBLOCK = 0o4000;
/** ioctl: sets the expiration count (_IOW('T', 0, u64)). */
export const TFD_IOC_SET_TICKS = 0x40085400;

export const SFD_CLOEXEC = 0o2000000;
export const SFD_NONBLOCK = 0o4000;
/** sizeof(struct signalfd_siginfo). */
export const SIGNALFD_SIGINFO_SIZE = 128;
