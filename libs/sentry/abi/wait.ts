/** wait4(2), waitid(2). */
export const WNOHANG = 1;
export const WUNTRACED = 2;
export const WSTOPPED = 2;
export const WEXITED = 4;
export const WCONTINUED = 8;
export const WNOWAIT = 0x1000000;
export const __WNOTHREAD = 0x20000000;
export const __WALL = 0x40000000;
export const __WCLONE = 0x80000000;

export const P_ALL = 0;
export const P_PID = 1;
export const P_PGID = 2;
export const P_PIDFD = 3;

/** Wait status of a stopped child: signal << 8 | 0x7f; of a continued one: */
export const STATUS_CONTINUED = 0xffff;
export const STATUS_CORE = 0x80;
