/** What a session (a sandbox that lives on) is asked, and what it answers. Plain data, no I/O. */

/** Output of one stream that may be on its way without having been taken, in bytes. */
export const STREAM_WINDOW = 128 * 1024;
/** Most bytes one read or write request moves. */
export const CHUNK_MAX = 64 * 1024;

export interface StartRequest {
  readonly op: 'start';
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  /** Open for `stdin` requests; otherwise empty. */
  readonly stdin: boolean;
  readonly terminal: false | { readonly rows: number; readonly columns: number };
  /** SIGKILL to its whole session after so long; null: never. */
  readonly timeoutMs: number | null;
}

/** To a port of the sandbox's own loopback; its bytes both ways as those of a process, under the id of this request. */
export interface ConnectRequest {
  readonly op: 'connect';
  readonly port: number;
}

/** What happens in a directory (inotify(7)): lines of JSON, each a WatchEvent, under the id of this request. Over when the directory is gone. */
export interface WatchRequest {
  readonly op: 'watch';
  /** Absolute. */
  readonly path: string;
  /** And in the directories below it. */
  readonly recursive: boolean;
  readonly root: boolean;
}

export interface WatchEvent {
  /** `rename`: it has another name now, which `create` tells if that is watched. `overflow`: some events were lost. */
  readonly type: 'create' | 'write' | 'remove' | 'rename' | 'chmod' | 'overflow';
  /** Below the watched directory. */
  readonly path: string;
}

/** `process`: the id of the request that started it, or that connected. */
export type ProcessRequest =
  | { readonly op: 'stdin'; readonly process: number }
  /** Of a connection or a watch: ends it at once. */
  | { readonly op: 'close'; readonly process: number }
  | { readonly op: 'signal'; readonly process: number; readonly signal: number }
  | { readonly op: 'resize'; readonly process: number; readonly rows: number; readonly columns: number };

/** Paths are absolute. Done as the sandbox's user, or its root. */
export type FileRequest = FileOperation & { readonly root?: boolean };

type FileOperation =
  /** Reply: `size`, and up to CHUNK_MAX bytes from `offset`; none at the end. */
  | { readonly op: 'read'; readonly path: string; readonly offset: number; readonly length: number }
  /** Bytes at `offset`, or at the end (null); `truncate` empties the file first. Parents are made. Reply: `written`. */
  | {
      readonly op: 'write';
      readonly path: string;
      readonly offset: number | null;
      readonly truncate: boolean;
      readonly mode: number;
    }
  /** Reply: `entries`, and `next`: where to go on, or null. */
  | { readonly op: 'list'; readonly path: string; readonly offset: number }
  | { readonly op: 'stat'; readonly path: string }
  /** With its parents; one that is there is no error. */
  | { readonly op: 'mkdir'; readonly path: string; readonly mode: number }
  /** Its parents are made. */
  | { readonly op: 'symlink'; readonly path: string; readonly target: string }
  | { readonly op: 'move'; readonly from: string; readonly to: string }
  /** A directory only when `recursive`, or when it is empty. */
  | { readonly op: 'remove'; readonly path: string; readonly recursive: boolean };

export type SessionRequest =
  | StartRequest
  | ConnectRequest
  | WatchRequest
  | ProcessRequest
  | FileRequest
  | { readonly op: 'processes' }
  | { readonly op: 'usage' }
  /** Audit records that are held back leave before the reply. */
  | { readonly op: 'flush' };

export interface FileEntry {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'device';
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Of a symbolic link. */
  readonly target?: string;
}

export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly state: 'running' | 'stopped' | 'zombie';
  readonly uid: number;
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** The request that started it, when it was one. */
  readonly stream: number | null;
  /** What that request started. */
  readonly command: readonly string[] | null;
}

/** An errno name when it failed; else what the request asked for. */
export interface SessionReply {
  readonly error?: string;
  readonly pid?: number;
  readonly size?: number;
  readonly written?: number;
  readonly entries?: readonly FileEntry[];
  readonly next?: number | null;
  readonly entry?: FileEntry;
  readonly processes?: readonly ProcessEntry[];
  readonly usage?: SessionUsage;
}

export interface SessionUsage {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly memoryBytes: number;
  readonly memoryPeakBytes: number;
  readonly processes: number;
  readonly syscalls: number;
}

export interface SessionExit {
  readonly exitCode: number | null;
  /** Name of the signal that killed it. */
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly cpuMs: number;
  readonly wallMs: number;
}
