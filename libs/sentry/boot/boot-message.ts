/**
 * What a Sentry is told before it runs a guest, and what it says back: the vocabulary of the socket
 * between supervisor (libs/pool) and Sentry. Plain data, no I/O.
 */

/** One host directory or file shown read-only inside the sandbox. */
export interface ImageMount {
  /** Absolute path inside the sandbox. */
  readonly path: string;
  /** Absolute path on the host. Opened by the zygote before it closes itself in. */
  readonly source: string;
}

/** Root file system: read-only host directories plus small synthetic files. All writes go to memory. */
export interface ImageSpec {
  readonly name: string;
  readonly mounts: readonly ImageMount[];
  /** Files the image itself provides (for example /etc/passwd), UTF-8 text. */
  readonly files: readonly { readonly path: string; readonly content: string; readonly mode: number }[];
  /** Symbolic links of the image root (for example /bin -> usr/bin). */
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** Bounds of one run. All are hard; 0 is not "unlimited". */
export interface SandboxLimits {
  readonly wallTimeMs: number;
  readonly cpuTimeMs: number;
  /** Committed guest memory, tmpfs included, in bytes. */
  readonly memoryBytes: number;
  /** Tasks (threads included) alive at once. */
  readonly processes: number;
  /** stdout + stderr, in bytes. */
  readonly outputBytes: number;
  /** Largest single file a guest may write, in bytes (RLIMIT_FSIZE); Number.MAX_SAFE_INTEGER for no limit. */
  readonly fileBytes: number;
  /** RLIMIT_NOFILE. */
  readonly openFiles: number;
  /** Bytes of encoded audit records before recording stops (and says so). */
  readonly auditBytes: number;
}

export type AuditLevel = 'off' | 'security' | 'full';
export type NetworkMode = 'none' | 'loopback';

export interface BootMessage {
  /** Execution id, for logs only. */
  readonly id: string;
  /** argv; argv[0] is looked up in PATH of env when it has no slash. */
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** Absolute; created if absent. */
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly hostname: string;
  readonly limits: SandboxLimits;
  readonly auditLevel: AuditLevel;
  readonly network: NetworkMode;
  /** Number of CPUs the guest sees. */
  readonly cpus: number;
  /** Host core for Sentry and stub together, or -1 for no pinning. */
  readonly pinCpu: number;
  /** Files written into the sandbox before it starts, contents sent as attachments in this order. */
  readonly files: readonly { readonly path: string; readonly mode: number; readonly size: number }[];
  /** Standard input: closed at once (empty), or fed by `Stdin` frames. */
  readonly stdin: 'empty' | 'stream';
  /** Whether stdin, stdout and stderr look like a terminal. */
  readonly terminal: false | { readonly rows: number; readonly columns: number };
  /**
   * A sandbox that lives until it is told to end: process 1 is the kernel's own, and programs are started by requests
   * (session-message.ts). argv, stdin, terminal and the limits of wall time and output do not apply.
   */
  readonly session?: boolean;
  /** Say `Idle` when the guest waits for input. */
  readonly tellIdle?: boolean;
  /** Audit records are made and thrown away: rehearsals, whose channel nobody reads meanwhile, and measurements of making them alone. */
  readonly dropAudit?: boolean;
  /** The end report says when what happened (`SentryMarks`). */
  readonly marks?: boolean;
  /** The end report says where the time went (`SentryProfile`): every call costs some clock readings more. */
  readonly profile?: boolean;
  /** The end report says what calls allocate in the Sentry's heap (`HeapUse`). Not together with `profile`: that allocates, too. */
  readonly watchHeap?: boolean;
}

/** How a run ended, as the Sentry sees it. */
export type EndReason =
  | 'exited'
  | 'signaled'
  | 'timed_out'
  | 'cpu_exceeded'
  | 'memory_exceeded'
  | 'output_exceeded'
  | 'canceled'
  /** The Sentry itself failed (assertion, host refusal): `detail` says how. */
  | 'error';

export interface Usage {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly memoryPeakBytes: number;
  readonly syscalls: number;
}

/** When what happened in a Sentry: CLOCK_MONOTONIC of its host, in ns. */
export interface SentryMarks {
  /** The fork is behind it, and it has an identity and namespaces of its own. */
  readonly confined: number;
  /** Its platform runs, its filter is on, and it waits for its boot message. */
  readonly ready: number;
  readonly booted: number;
  /** Files are placed, the kernel is built. */
  readonly built: number;
  /** The program and its interpreter are mapped: the guest's first instruction is next. Null: it could not be loaded. */
  readonly loaded: number | null;
  /** The guest wrote its first byte to stdout or stderr; null: it wrote none. */
  readonly firstOutput: number | null;
  readonly ended: number;
}

/** So often, and so long in all (ns). */
export interface Tally {
  readonly count: number;
  readonly time: number;
}

/** Where the time of a guest's life went, from `booted` to `ended`. Times in ns; what the clock itself took is in them. */
export interface SentryProfile {
  /** One reading of the clock; each trap costs two. */
  readonly clock: number;
  /** Guest code ran, or was on its way there or back. */
  readonly guest: number;
  /** Of `guest`, what the host counts as the guest's own processor time. */
  readonly guestCpu: number;
  /** Everything in the sandbox waited: for a timer, input, or room for output. */
  readonly waiting: number;
  /** The Sentry worked: all of the following tallies but `loads` and `hostCalls`, which are parts of them. */
  readonly sentry: number;
  /** Placing files, building the kernel, loading the first program. */
  readonly start: number;
  readonly faults: Tally;
  /** Other processor exceptions, and threads that were interrupted. */
  readonly exceptions: Tally;
  /** Timers and host descriptors that became ready. */
  readonly wakes: Tally;
  /** System calls by name, dearest first. A call that waited counts once; `time` is the Sentry's work for it. */
  readonly calls: readonly (Tally & { readonly name: string })[];
  /** Programs mapped (execve, and the first): ELF headers, interpreter, stack. */
  readonly loads: Tally;
  /** What the Sentry asked of its host, by name, dearest first. */
  readonly hostCalls: readonly (Tally & { readonly name: string })[];
}

/** What one call, made over and over by itself, allocates. */
export interface HeapUse {
  readonly name: string;
  /** Windows of calls that were looked at. */
  readonly windows: number;
  /** Bytes of heap a call; the median of the windows. */
  readonly bytes: number;
}

export interface EndReport {
  readonly reason: EndReason;
  /** Exit status of the first process when it exited. */
  readonly exitCode: number | null;
  /** Signal name ("SIGKILL") when it was killed by one. */
  readonly signal: string | null;
  /** For errors: one line for the operator. For exec failures before the program ran: the errno name and path. */
  readonly detail: string | null;
  readonly usage: Usage;
  /** True when the audit byte budget stopped the recording. */
  readonly auditTruncated: boolean;
  readonly platform: string;
  /** As the boot message asked. */
  readonly marks?: SentryMarks;
  readonly profile?: SentryProfile;
  readonly heap?: readonly HeapUse[];
}

/** The guest has read all of its input that came, and waits for more. */
export interface IdleReport {
  /** Bytes of stdin that came. */
  readonly received: number;
  /**
   * Nothing but more input can wake it: all its tasks wait, and none for a timer. Told once for each `received`. False: told regularly, of
   * guests whose runtime has timers of its own (the JVM, Go).
   */
  readonly stuck: boolean;
  /** What it took so far. */
  readonly cpuMs: number;
}

/** Frame types on the supervisor <-> Sentry socket: u32 length of payload (LE), u8 type, payload. */
export const FrameType = {
  // supervisor -> Sentry
  /** u32 JSON length (LE), JSON BootMessage, then the file contents concatenated. */
  Boot: 1,
  /** Raw bytes for the guest's stdin. Empty payload: end of file. */
  Stdin: 2,
  /** JSON {reason: EndReason}: end the run now and report. */
  Kill: 3,
  /** JSON {rows, columns}. */
  Resize: 4,
  /** JSON {signal: number}: send to the foreground process (group). */
  Signal: 5,
  /** Of a session (session-message.ts): u32 id, u32 JSON length, JSON SessionRequest, bytes. */
  Request: 6,
  /** u32 stream, u32 bytes of its output that were taken: so many more may be sent. */
  Credit: 7,
  // Sentry -> supervisor
  /** The Sentry is up and waits for its boot message. Empty. */
  Ready: 64,
  /** The guest's first instruction is about to run. Empty. */
  Started: 65,
  Stdout: 66,
  Stderr: 67,
  /** Encoded audit records (libs/sentry/audit), whole records only. */
  Audit: 68,
  /** JSON EndReport; the last frame. */
  End: 69,
  /** UTF-8 text for the operator's log. */
  Log: 70,
  /** u32 id of the request, u32 JSON length, JSON SessionReply, bytes. */
  Reply: 71,
  /** u32 stream, u8 descriptor (1 or 2), output of a session's process. */
  Output: 72,
  /** u32 stream, JSON SessionExit. */
  Exit: 73,
  /** u32 stream: nobody in the sandbox holds its output open any more, and the process has exited. */
  Closed: 74,
  /** JSON IdleReport. What the guest printed before was sent before. */
  Idle: 75,
} as const;
export type FrameKind = (typeof FrameType)[keyof typeof FrameType];
export const FRAME_HEADER_BYTES = 5;
/** Largest payload of one frame (a boot message with files may be the largest). */
export const FRAME_PAYLOAD_MAX = 64 * 1024 * 1024;
