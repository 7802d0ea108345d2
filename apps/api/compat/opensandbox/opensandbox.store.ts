import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { PREFIX } from '@cordon/queue';
import type { Redis } from 'ioredis';

/** What OpenSandbox's clients said of a sandbox, beside our own record of it. It does not change; metadata does. */
export interface OpenSandboxRecord {
  readonly tenant: string;
  readonly image: { readonly uri: string };
  readonly entrypoint: readonly string[];
  readonly extensions: Readonly<Record<string, string>>;
  readonly platform: { readonly os: string; readonly arch: string } | null;
  /** Opens the ports of this sandbox, execd's among them, and nothing else. */
  readonly accessToken: string;
}

/** A command that execd started. */
export interface CommandRecord {
  readonly content: string;
  readonly startedAt: string;
}

/** A shell on a terminal (or on pipes), which begins with its first client. */
export interface PtyRecord {
  readonly cwd: string;
  readonly command: string | null;
  /** The sandbox's number of the shell; null: none was started yet. */
  readonly process: number | null;
  readonly pipe: boolean;
}

const place = (id: string, what: string): string => `${PREFIX}:opensandbox:${id}:${what}`;
const STARTING_SECONDS = 30;
/** Longer than any sandbox lives. */
const KEPT_SECONDS = 3 * 86_400;
const CONTENT_MOST = 4096;

export class OpenSandboxStore {
  constructor(private readonly redis: Redis) {}

  newToken(): string {
    return randomBytes(32).toString('hex');
  }

  async save(id: string, record: OpenSandboxRecord, metadata: Readonly<Record<string, string>>): Promise<void> {
    await this.redis.set(place(id, 'record'), JSON.stringify(record), 'EX', KEPT_SECONDS);
    await this.patch(id, metadata);
  }

  async get(id: string): Promise<OpenSandboxRecord | null> {
    const text = await this.redis.get(place(id, 'record'));
    return text === null ? null : (JSON.parse(text) as OpenSandboxRecord);
  }

  async forget(id: string): Promise<void> {
    await this.redis.del(place(id, 'record'), place(id, 'metadata'));
  }

  metadata(id: string): Promise<Record<string, string>> {
    return this.redis.hgetall(place(id, 'metadata'));
  }

  /** Null takes a name away (RFC 7396). All of it at once. */
  async patch(id: string, patch: Readonly<Record<string, string | null>>): Promise<void> {
    const set = Object.entries(patch).filter((entry): entry is [string, string] => entry[1] !== null);
    const gone = Object.keys(patch).filter((name) => patch[name] === null);
    const key = place(id, 'metadata');
    const all = this.redis.multi();
    if (set.length > 0) all.hset(key, Object.fromEntries(set));
    if (gone.length > 0) all.hdel(key, ...gone);
    await all.expire(key, KEPT_SECONDS).exec();
  }

  async saveCommand(id: string, process: number, content: string): Promise<void> {
    const command: CommandRecord = { content: content.slice(0, CONTENT_MOST), startedAt: new Date().toISOString() };
    await this.redis.set(place(id, `command:${process}`), JSON.stringify(command), 'EX', KEPT_SECONDS);
  }

  async command(id: string, process: number): Promise<CommandRecord | null> {
    const text = await this.redis.get(place(id, `command:${process}`));
    return text === null ? null : (JSON.parse(text) as CommandRecord);
  }

  /** The context that code of a language runs in when none is named; the first one that is offered stays. */
  async defaultContext(id: string, language: string, offered?: string): Promise<string | null> {
    const key = place(id, `context:${language}`);
    if (offered !== undefined) await this.redis.set(key, offered, 'EX', KEPT_SECONDS, 'NX');
    return this.redis.get(key);
  }

  /** A context that is a session: told apart from those for code. */
  async saveSession(id: string, session: string): Promise<void> {
    const key = place(id, 'sessions');
    await this.redis.multi().sadd(key, session).expire(key, KEPT_SECONDS).exec();
  }

  async sessions(id: string): Promise<ReadonlySet<string>> {
    return new Set(await this.redis.smembers(place(id, 'sessions')));
  }

  async forgetSession(id: string, session: string): Promise<void> {
    await this.redis.srem(place(id, 'sessions'), session);
  }

  async savePty(id: string, session: string, record: PtyRecord): Promise<void> {
    const key = place(id, 'ptys');
    await this.redis.multi().hset(key, session, JSON.stringify(record)).expire(key, KEPT_SECONDS).exec();
  }

  async pty(id: string, session: string): Promise<PtyRecord | null> {
    const text = await this.redis.hget(place(id, 'ptys'), session);
    return text === null ? null : (JSON.parse(text) as PtyRecord);
  }

  countPtys(id: string): Promise<number> {
    return this.redis.hlen(place(id, 'ptys'));
  }

  async forgetPty(id: string, session: string): Promise<void> {
    await this.redis.hdel(place(id, 'ptys'), session);
  }

  /** Whether its shell is ours to start. */
  async claimPty(id: string, session: string): Promise<boolean> {
    return (await this.redis.set(place(id, `pty:${session}`), '1', 'EX', STARTING_SECONDS, 'NX')) === 'OK';
  }

  async releasePty(id: string, session: string): Promise<void> {
    await this.redis.del(place(id, `pty:${session}`));
  }

  /** `context` is not there any more. */
  async dropContext(id: string, language: string, context: string): Promise<void> {
    const key = place(id, `context:${language}`);
    if ((await this.redis.get(key)) === context) await this.redis.del(key);
  }
}

/** In a time that tells nothing. */
export function sameToken(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
