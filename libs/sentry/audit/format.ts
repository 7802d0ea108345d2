/**
 * Binary audit stream: records one after the other, each starting on a multiple of 8 bytes, little endian.
 * Every record: u32 length (exact; the next starts at the next multiple of 8), u32 kind. The stream describes itself: names and
 * signatures of calls come as records before their first use, so that decoding needs no table of the Sentry that wrote it.
 */
export const RecordKind = {
  /**
   * One system call. u32 number; u16 comm id; u8 decision; u8 argument count; u32 pid; u32 tid; f64 sequence, start, duration,
   * result; f64 per argument; then captures: u8 argument index, u8 flags, u16 length, bytes.
   */
  Call: 1,
  /** u32 id; bytes of the comm. A later one with the same id replaces it. */
  Comm: 2,
  /** u32 number; u32 result kind; name, NUL, signature. */
  Definition: 3,
  /** Recording stopped: the byte budget is used up. u32 0, u32 0, f64 sequence, f64 start. The last record. */
  Truncated: 4,
} as const;

export const CALL_HEADER_BYTES = 56;
export const CAPTURE_HEADER_BYTES = 4;
/** Capture flag: there was more than was copied. */
export const CAPTURE_CUT = 1;
export const TRUNCATED_BYTES = 32;
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
