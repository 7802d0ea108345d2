/**
 * What an API asks of the worker that keeps a sandbox, over HTTP between the two. A body that carries bytes is: u32 length of the
 * JSON (LE), the JSON, the bytes. The bearer token is the worker's, from its entry in the registry.
 */
import type { SandboxDto, SandboxEnd, WatchLine } from './sandbox.js';

export const LINK_CHUNK_BYTES = 64 * 1024;
/** Largest number of a process. */
export const PROCESS_NUMBER_MAX = 2 ** 32 - 1;

export interface OpenSandbox {
  /** `platform` of it is what was asked for; of the answer, what it runs on. */
  readonly sandbox: SandboxDto;
  readonly env: Readonly<Record<string, string>>;
}

export interface StartProcess {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly root: boolean;
  readonly stdin: boolean;
  /** Of this size, as descriptors 0, 1 and 2. */
  readonly terminal: false | { readonly rows: number; readonly columns: number };
  readonly timeoutMs: number | null;
  /** Its end is not that of the connection. */
  readonly background: boolean;
}

/** A watcher to ask later. `path`: absolute. `note`: whatever comes back with its events. */
export interface CreateWatcher {
  readonly path: string;
  readonly recursive: boolean;
  readonly root: boolean;
  readonly note: unknown;
}

/** What has happened since it was asked last. */
export interface WatchedEvents {
  readonly note: unknown;
  readonly events: readonly WatchLine[];
  /** Before those that come next some were lost; there are none now. */
  readonly lost: boolean;
}

/** One line (JSON) of a process's stream. `seq` counts its events from 0. */
export type ProcessEvent = { readonly seq: number } & (
  | { readonly type: 'started'; readonly process: number; readonly pid: number }
  | { readonly type: 'stdout' | 'stderr'; readonly data: string; readonly encoding: 'utf8' | 'base64' }
  /** Events before this one are not kept any more; `bytes`: how much output was among them. */
  | { readonly type: 'gap'; readonly bytes: number }
  | {
      readonly type: 'exit';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly timedOut: boolean;
      readonly cpuMs: number;
      readonly wallMs: number;
    }
  /** The sandbox ended first. */
  | { readonly type: 'lost' }
);

/** A refusal: what failed inside the sandbox, or that there is no such sandbox (any more). */
export interface LinkRefusal {
  readonly errno?: string;
  readonly gone?: SandboxEnd | 'unknown';
  readonly full?: boolean;
  readonly process?: 'unknown';
  readonly context?: ContextRefusal;
  /** `most`: the sandbox has as many as it may. */
  readonly watcher?: 'unknown' | 'most';
  /** In words, for the client. */
  readonly detail?: string;
}

/** `absent`: the image has no such language; `unready`: its interpreter did not begin; `most`: the sandbox has enough of them. */
export type ContextRefusal = 'unknown' | 'dead' | 'busy' | 'most' | 'absent' | 'unready';
