import { randomBytes } from 'node:crypto';
import type { CreateWatcher, WatchedEvents, WatchLine } from '@cordon/contracts';
import type { LiveSandbox } from './live-sandbox.js';

/** Of one sandbox at once. */
export const WATCHERS_MOST = 64;
/** Of one watcher, as JSON. Over it the sandbox keeps them, in a queue of its own that says when it overflowed. */
const KEPT_BYTES = 256 * 1024;
const NEWLINE = 10;

/** A directory that is watched for those who come and ask: what has happened is kept until then. */
class Watcher {
  private events: WatchLine[] = [];
  private bytes = 0;
  private rest = Buffer.alloc(0);
  private room: (() => void) | null = null;
  stop: () => void = () => undefined;

  constructor(readonly note: unknown) {}

  /** A promise holds the sandbox back until somebody has asked. */
  output(bytes: Buffer): void | Promise<void> {
    let all = Buffer.concat([this.rest, bytes]);
    for (let end = all.indexOf(NEWLINE); end >= 0; end = all.indexOf(NEWLINE)) {
      this.events.push(JSON.parse(all.toString('utf8', 0, end)) as WatchLine);
      all = all.subarray(end + 1);
    }
    this.rest = all;
    this.bytes += bytes.length;
    if (this.bytes < KEPT_BYTES) return;
    return new Promise((resolve) => {
      this.room = resolve;
    });
  }

  /** Each is told once. Where some were lost, what came before and what came behind are told apart. */
  take(): { events: WatchLine[]; lost: boolean } {
    const gap = this.events.findIndex(({ type }) => type === 'overflow');
    const lost = gap === 0;
    const events = this.events.splice(0, gap < 0 ? this.events.length : gap);
    if (lost) this.events.shift();
    if (this.events.length === 0) {
      this.bytes = 0;
      this.release();
    }
    return { events, lost };
  }

  close(): void {
    this.stop();
    this.release();
  }

  private release(): void {
    this.room?.();
    this.room = null;
  }
}

/** The watchers of one sandbox; they end with it. They do not keep it from being idle: who made them may have forgotten them. */
export class Watchers {
  private readonly watchers = new Map<string, Watcher>();
  private making = 0;

  constructor(private readonly live: LiveSandbox) {}

  /** Null: there are as many as there may be. Rejects with SessionError (ENOENT, ENOTDIR, EACCES ...). */
  async create({ note, ...request }: CreateWatcher): Promise<string | null> {
    if (this.watchers.size + this.making >= WATCHERS_MOST) return null;
    this.making++;
    try {
      const watcher = new Watcher(note);
      watcher.stop = await this.live.watchIdly(request, (bytes) => watcher.output(bytes));
      const id = `wat_${randomBytes(12).toString('hex')}`;
      this.watchers.set(id, watcher);
      return id;
    } finally {
      this.making--;
    }
  }

  /** Null: there is no such watcher. */
  async take(id: string): Promise<WatchedEvents | null> {
    const watcher = this.watchers.get(id);
    if (!watcher) return null;
    // What happened before is on its way before this is answered.
    await this.live.ask({ op: 'usage' });
    return { note: watcher.note, ...watcher.take() };
  }

  remove(id: string): boolean {
    this.watchers.get(id)?.close();
    return this.watchers.delete(id);
  }
}
