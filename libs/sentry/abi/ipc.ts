/** System V IPC and POSIX message queues, as in Linux `linux/ipc.h`, `shm.h`, `sem.h`, `msg.h`, `mqueue.h` (x86-64). */
export const IPC_PRIVATE = 0;
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;

export const IPC_RMID = 0;
export const IPC_SET = 1;
export const IPC_STAT = 2;
export const IPC_INFO = 3;

/** struct ipc64_perm; the first member of all three `*id64_ds`. */
export const IPC_PERM_BYTES = 48;

export const SHM_RDONLY = 0o10000;
export const SHM_RND = 0o20000;
export const SHM_REMAP = 0o40000;
export const SHM_EXEC = 0o100000;
export const SHM_HUGETLB = 0o4000;
/** In the mode that IPC_STAT shows. */
export const SHM_DEST = 0o1000;
export const SHM_LOCKED = 0o2000;

export const SHM_LOCK = 11;
export const SHM_UNLOCK = 12;
export const SHM_STAT = 13;
export const SHM_INFO = 14;
export const SHM_STAT_ANY = 15;
export const SHMID_DS_BYTES = 112;
export const SHMINFO_BYTES = 72;
export const SHM_INFO_BYTES = 48;

/** Most segments. SHMMAX and SHMALL are what Linux shows; the memory limit of the sandbox is what binds. */
export const SHMMNI = 4096;
/** ULONG_MAX - (1 << 24) as halves. */
export const SHMMAX_LOW = 0xfeffffff;
export const SHMMAX_HIGH = 0xffffffff;

export const SEM_UNDO = 0x1000;
export const GETPID = 11;
export const GETVAL = 12;
export const GETALL = 13;
export const GETNCNT = 14;
export const GETZCNT = 15;
export const SETVAL = 16;
export const SETALL = 17;
export const SEM_STAT = 18;
export const SEM_INFO = 19;
export const SEM_STAT_ANY = 20;
export const SEMID_DS_BYTES = 104;
export const SEMINFO_BYTES = 40;

export const SEMMNI = 32000;
export const SEMMSL = 32000;
/** Less than Linux's 1,024,000,000: semaphores are memory of the Sentry that no limit of the guest covers. */
export const SEMMNS = 1_024_000;
export const SEMOPM = 500;
export const SEMVMX = 32767;
export const SEMAEM = SEMVMX;

export const MSG_NOERROR = 0o10000;
export const MSG_EXCEPT = 0o20000;
export const MSG_COPY = 0o40000;
export const MSG_STAT = 11;
export const MSG_INFO = 12;
export const MSG_STAT_ANY = 13;
export const MSQID_DS_BYTES = 120;
export const MSGINFO_BYTES = 32;

export const MSGMNI = 32000;
export const MSGMAX = 8192;
export const MSGMNB = 16384;

export const MQ_PRIO_MAX = 32768;
export const MQ_ATTR_BYTES = 64;
/** mq_overview(7): defaults and bounds without and with CAP_SYS_RESOURCE. */
export const MQ_QUEUES_MAX = 256;
export const MQ_MSG_DEFAULT = 10;
export const MQ_MSG_MAX = 10;
export const MQ_HARD_MSG_MAX = 65536;
export const MQ_MSGSIZE_DEFAULT = 8192;
export const MQ_MSGSIZE_MAX = 8192;
export const MQ_HARD_MSGSIZE_MAX = 16 << 20;

/** The cookie of SIGEV_THREAD (NOTIFY_COOKIE_LEN). */
export const NOTIFY_COOKIE_BYTES = 32;
