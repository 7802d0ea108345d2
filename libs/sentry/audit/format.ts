/**
 * Binary audit stream: records one after the other, each starting on a multiple of 8 bytes, little endian.
 * Every record: u16 length (exact; the next starts at the next multiple of 8), u16 kind. The stream describes itself: names and
 * signatures of calls, and who a task is, come as records before their first use, so that decoding needs no table of the Sentry that wrote it.
 */
export const RecordKind = {
  /**
   * One system call. u16 definition; u16 task; u32 sequence; u8 decision; u8 argument count; u16 and u32: bits 32..47 and 0..31 of the
   * start; u32 low half of the duration; u32 low half of the result; i16 bits 32..47 of the result; u16 bits 32..47 of the duration; f64 per
   * argument; then captures: u8 argument index, u8 flags, u16 length, bytes; with `CAPTURE_PATH_ID` there are no bytes, and in place of
   * the length is the id of a path. A result that needs more than 48 bits is also there as an f64, captured for argument
   * `RESULT_CAPTURE`.
   */
  Call: 1,
  /** u32 id; u32 pid; u32 tid; bytes of the comm. A later one with the same id replaces it. */
  Task: 2,
  /** u32 id; u32 number; u32 result kind; name, NUL, signature. A later one with the same id replaces it. */
  Definition: 3,
  /** Recording stopped: the byte budget is used up. u32 0, f64 sequence, f64 start. The last record. */
  Truncated: 4,
  /** u32 id, below `PATH_IDS`; bytes of the path. A later one with the same id replaces it. */
  Path: 5,
  /** u32 `FORMAT_VERSION`. The first record. */
  Format: 6,
} as const;

/** 2: paths travel once, as records of their own. A decoder reads no stream of another version. */
export const FORMAT_VERSION = 2;

export const CALL_HEADER_BYTES = 32;
export const TASK_HEADER_BYTES = 16;
export const DEFINITION_HEADER_BYTES = 16;
export const CAPTURE_HEADER_BYTES = 4;
/** Capture flag: there was more than was copied. */
export const CAPTURE_CUT = 1;
/** Capture flag: a path that a record before this one told. */
export const CAPTURE_PATH_ID = 2;
export const PATH_HEADER_BYTES = 8;
export const FORMAT_BYTES = 8;
/** Ids of paths. */
export const PATH_IDS = 256;
/** Longer ones travel in the records of their calls. */
export const KEPT_PATH_BYTES = 120;
/** In place of an argument's index. */
export const RESULT_CAPTURE = 6;
export const TRUNCATED_BYTES = 24;
/** No record is longer. */
export const RECORD_BYTES_MAX = 16 * 1024;

export const DECISIONS = ['allow', 'deny', 'kill', 'log'] as const;
export type Decision = (typeof DECISIONS)[number];

/** How results are shown; the index travels. */
export const RESULT_KINDS = ['int', 'hex', 'fd', 'none'] as const;
export type ResultKind = (typeof RESULT_KINDS)[number];

/** Signature of calls that have no row: all six registers. */
export const UNKNOWN_SIGNATURE = 'arg0:hex arg1:hex arg2:hex arg3:hex arg4:hex arg5:hex';

export const align8 = (length: number): number => (length + 7) & ~7;
