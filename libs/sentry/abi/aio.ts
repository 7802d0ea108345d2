/** Linux's own asynchronous I/O (linux/aio_abi.h): io_setup(2), io_submit(2), io_getevents(2). */
export const IOCB_CMD_PREAD = 0;
export const IOCB_CMD_PWRITE = 1;
export const IOCB_CMD_FSYNC = 2;
export const IOCB_CMD_FDSYNC = 3;
export const IOCB_CMD_POLL = 5;
export const IOCB_CMD_PREADV = 7;
export const IOCB_CMD_PWRITEV = 8;

export const IOCB_FLAG_RESFD = 1;

/** struct iocb. */
export const Iocb = {
  Size: 64,
  Data: 0,
  Key: 8,
  RwFlags: 12,
  Opcode: 16,
  Fildes: 20,
  Buffer: 24,
  Bytes: 32,
  Offset: 40,
  Reserved: 48,
  Flags: 56,
  ResultFd: 60,
} as const;

export const IO_EVENT_BYTES = 32;
/** aio_key of every request that was taken. */
export const KIOCB_KEY = 0;

/** Requests that all contexts together may hold (fs.aio-max-nr), and those that one may be made for. */
export const AIO_MAX_NR = 65536;
export const AIO_CONTEXT_MAX = 0x10000000 / IO_EVENT_BYTES;
/** Requests taken by one io_submit(2): as many as the audit log shows. */
export const AIO_SUBMIT_MAX = 128;
