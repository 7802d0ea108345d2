/** What uname(2), /proc/version and /proc/sys/kernel say of this kernel. */
export const SYSNAME = 'Linux';
/** Programs decide on features by it: what this kernel does is closest to 6.1. */
export const RELEASE = '6.1.0-cordon';
export const VERSION = '#1 SMP PREEMPT_DYNAMIC Cordon';
export const MACHINE = 'x86_64';
/** Bytes of each field of struct utsname, NUL included. */
export const UTSNAME_FIELD = 65;
