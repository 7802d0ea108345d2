import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { connect } from './connection.js';
import type { ExecutionStore } from './execution-store.js';
import { PREFIX, QUEUE_EXECUTIONS } from './names.js';

/** A worker that said nothing for this long is lost: several missed beats, and far longer than any pause of its event loop. */
export const SILENCE_MS = 5_000;
export const BEAT_MS = 1_000;
/** Tickets that one sweep adds at most: enough for every idle slot of a busy deployment, over a few sweeps. */
const TICKETS_AT_ONCE = 16;
const LOCK_MS = 15_000;

/**
 * A worker with a free place hears of a new execution directly (`Consumer.wake`). Where none has, or the message is lost, BullMQ carries
 * tickets, not executions: a ticket gets a worker's free slot to look for the execution whose turn it is. Which one that
 * is, is decided when it begins (`ExecutionStore.take`), fairly between keys. A ticket too many finds nothing and is forgotten; one too
 * few (its API died, its worker died) is added by the next sweep. So no execution depends on any single ticket.
 */
export class Dispatcher {
  private readonly queue: Queue<null>;
  private readonly timer: NodeJS.Timeout;
  private sweeping: Promise<void> | null = null;

  /** `redis`: the connection of `store`, so that a ticket arrives behind the execution it is for. */
  constructor(
    redis: Redis,
    private readonly store: ExecutionStore,
    private readonly lost: (id: string) => Promise<unknown> = () => Promise.resolve(),
  ) {
    this.queue = new Queue(QUEUE_EXECUTIONS, { connection: redis, prefix: PREFIX });
    this.queue.on('error', () => undefined);
    this.timer = setInterval(() => void this.sweep().catch(() => undefined), BEAT_MS);
    this.timer.unref();
  }

  /** Wakes a slot. */
  async ticket(count = 1): Promise<void> {
    const options = { removeOnComplete: true, removeOnFail: true };
    if (count === 1) await this.queue.add('ticket', null, options);
    else await this.queue.addBulk(Array.from({ length: count }, () => ({ name: 'ticket', data: null, opts: options })));
  }

  /** Gives lost workers' executions back to the queue, ends those that lost too many, and adds missing tickets. */
  sweep(): Promise<void> {
    this.sweeping ??= this.sweepOnce().finally(() => {
      this.sweeping = null;
    });
    return this.sweeping;
  }

  private async sweepOnce(): Promise<void> {
    const { ready, tickets, lost } = await this.store.sweep(SILENCE_MS);
    for (const id of lost) {
      if (await this.store.finish(id, 0, 'error', { detail: 'its workers were lost' })) await this.lost(id);
    }
    if (ready > 0 && tickets === 0) await this.ticket(Math.min(ready, TICKETS_AT_ONCE));
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping?.catch(() => undefined);
    await this.queue.close();
  }
}

export interface Consumer {
  /** Something may be there to run: a slot of its own looks for it, beside those of tickets. */
  wake(): void;
  /** Takes nothing more; resolves when what runs has ended. */
  close(): Promise<void>;
}

/**
 * The worker's side: `concurrency` slots. A slot that a ticket woke calls `run` for one execution after the other until none is left for
 * it; `run` resolves with the one that comes next, taken in the same round trip that ended its own.
 */
export function consume<T>(
  url: string,
  concurrency: number,
  take: () => Promise<T | null>,
  run: (taken: T) => Promise<T | null>,
): Consumer & { ready: Promise<unknown> } {
  let closing = false;
  const process = async (): Promise<void> => {
    if (closing) return;
    for (let taken = await take(); taken; ) taken = await run(taken);
  };
  /** Slots that were woken without a ticket. */
  const woken = new Set<Promise<void>>();
  /** A wake came when there were enough of them: one may have looked, found nothing, and not heard of it yet. */
  let missed = false;
  const wake = (): void => {
    missed = woken.size >= concurrency;
    if (missed) return;
    const slot = process()
      .catch(() => undefined)
      .finally(() => {
        woken.delete(slot);
        if (missed) wake();
      });
    woken.add(slot);
  };
  const connection = connect(url);
  connection.on('error', () => undefined);
  const worker = new Worker<null>(QUEUE_EXECUTIONS, process, {
    connection,
    prefix: PREFIX,
    concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: LOCK_MS,
    maxStalledCount: 1,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  worker.on('error', () => undefined);
  return {
    ready: worker.waitUntilReady(),
    wake,
    async close() {
      closing = true;
      await worker.close();
      await Promise.all(woken);
      connection.disconnect();
    },
  };
}
