/** Clocks and timers, as in Linux `linux/time.h`. */
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;

/** Dynamic CPU clock ids: (~pid << 3) | thread bit 4 | kind. */
export const CPUCLOCK_PERTHREAD = 4;
export const CPUCLOCK_KIND = 3;

export const TIMER_ABSTIME = 1;

export const ITIMER_REAL = 0;
export const ITIMER_VIRTUAL = 1;
export const ITIMER_PROF = 2;

export const NANOSECONDS_PER_SECOND = 1e9;
/** USER_HZ: what times(2) and /proc count in. */
export const CLOCK_TICKS_PER_SECOND = 100;
/** Resolution of the COARSE clocks: CONFIG_HZ=250. */
export const COARSE_RESOLUTION = 4_000_000;
