/** One decoded argument of a system call, as shown: `O_RDONLY|O_CLOEXEC`, `"/etc/passwd"`, `0x7f…`, `-1`. */
export interface AuditArgument {
  readonly name: string;
  /** Kind of the argument (fd, path, flags, buffer, …), so that consumers can filter. */
  readonly kind: string;
  /** strace-like rendering, printable ASCII only (other bytes escaped). */
  readonly text: string;
}

/** One system call as the Sentry recorded it, decoded. */
export interface AuditRecord {
  /** Counts from 0 without gaps in one execution. */
  readonly sequence: number;
  /** Nanoseconds since the run started. */
  readonly start: number;
  /** Nanoseconds from entry to result (including time blocked). */
  readonly duration: number;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly number: number;
  readonly name: string;
  readonly arguments: readonly AuditArgument[];
  /** Result as the guest saw it; null for calls that do not return (exit_group; a successful execve is 0). */
  readonly result: number | null;
  /** Errno name when the call failed ("ENOENT"). */
  readonly error: string | null;
  /** Policy decision: allowed unless something refused it. */
  readonly decision: 'allow' | 'deny' | 'kill' | 'log';
}
