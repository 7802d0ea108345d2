import type { CreateWatcher, WatchedEvents } from '@cordon/contracts';
import { LinkRefused, type WorkerLink } from '../../sandboxes/worker-link.js';
import type { Message } from './connect-protocol.js';
import { E2bError } from './e2b.errors.js';
import { type EnvdFiles, watchEvent } from './envd-files.js';
import { type GuestUser, guestPath } from './guest-user.js';

/** How events are to be told, kept with the watcher. */
interface Note {
  readonly top: string;
  readonly includeEntry: boolean;
}

/** Watching by asking, for clients without streams: what happens is kept at the worker until they come. */
export class EnvdWatchers {
  constructor(
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly user: GuestUser,
    private readonly files: EnvdFiles,
  ) {}

  async CreateWatcher({ path, recursive, includeEntry }: Message): Promise<object> {
    const top = guestPath(path, this.user);
    const note: Note = { top, includeEntry: includeEntry === true };
    const request: CreateWatcher = { path: top, recursive: recursive === true, root: this.user.root, note };
    const { watcher } = await this.ask<{ watcher: string }>('create', request);
    return { watcherId: watcher };
  }

  async GetWatcherEvents({ watcherId }: Message): Promise<object> {
    const { note, events, lost } = await this.ask<WatchedEvents>('take', { watcher: nameOf(watcherId) });
    if (lost)
      throw new E2bError('resource_exhausted', 'there was no room for some events, which are lost: list the directory');
    const { top, includeEntry } = note as Note;
    const told: object[] = [];
    for (const event of events) told.push(await watchEvent(this.files, top, event, includeEntry));
    return { events: told };
  }

  async RemoveWatcher({ watcherId }: Message): Promise<object> {
    await this.ask('remove', { watcher: nameOf(watcherId) });
    return {};
  }

  private async ask<T>(action: string, body: object): Promise<T> {
    try {
      return await this.link.json<T>(`/sandboxes/${this.id}/watchers/${action}`, body);
    } catch (error) {
      const refused = error instanceof LinkRefused ? error.refusal.watcher : undefined;
      if (refused === 'unknown') throw new E2bError('not_found', 'watcher not found');
      if (refused === 'most') throw new E2bError('resource_exhausted', 'too many watchers: remove one');
      throw error;
    }
  }
}

function nameOf(watcher: unknown): string {
  if (typeof watcher !== 'string' || watcher === '')
    throw new E2bError('invalid_argument', 'watcherId must be a string');
  return watcher;
}
