import { PROCESS_LOG_BYTES, type ProcessEvent } from '@cordon/contracts';
import type { SessionExit } from '@cordon/pool';
import { encode, wholeLength } from '../output-collector.js';

/** A follower takes one event; a promise holds the process back until it settles. */
export type Follower = (event: ProcessEvent) => void | Promise<void>;

type Unnumbered<Event> = Event extends ProcessEvent ? Omit<Event, 'seq'> : never;

/** Events of one process: the last ones are kept for those who attach later, in order, none twice. */
export class ProcessLog {
  pid = 0;
  /** It has exited, or was lost. */
  over = false;
  private readonly events: ProcessEvent[] = [];
  private bytes = 0;
  /** Of output that is not kept any more. */
  private dropped = 0;
  private next = 0;
  private readonly followers = new Set<Follower>();
  /** The start of a character whose rest has not come, by descriptor. */
  private readonly held = [Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0)];

  output(descriptor: 1 | 2, bytes: Buffer): Promise<unknown> {
    const all = Buffer.concat([this.held[descriptor], bytes]);
    const length = wholeLength(all);
    this.held[descriptor] = all.subarray(length);
    if (length === 0) return Promise.resolve();
    return this.add({ type: descriptor === 1 ? 'stdout' : 'stderr', ...encode(all.subarray(0, length)) });
  }

  started(process: number, pid: number): void {
    this.pid = pid;
    void this.add({ type: 'started', process, pid });
  }

  exit(exit: SessionExit): void {
    for (const descriptor of [1, 2] as const) {
      const rest = this.held[descriptor];
      if (rest.length > 0) void this.add({ type: descriptor === 1 ? 'stdout' : 'stderr', ...encode(rest) });
      this.held[descriptor] = Buffer.alloc(0);
    }
    this.over = true;
    void this.add({ type: 'exit', ...exit });
  }

  /** The sandbox has ended. */
  lost(): void {
    if (this.over) return;
    this.over = true;
    void this.add({ type: 'lost' });
  }

  /** Events from `from` on: those that are kept, then the others as they come. Returns how to stop. */
  follow(from: number, follower: Follower): () => void {
    const first = this.events[0]?.seq ?? this.next;
    if (from < first) void follower({ seq: first - 1, type: 'gap', bytes: this.dropped });
    for (const event of this.events) if (event.seq >= from) void follower(event);
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }

  private add(event: Unnumbered<ProcessEvent>): Promise<unknown> {
    const numbered = { seq: this.next++, ...event } as ProcessEvent;
    this.events.push(numbered);
    this.bytes += sizeOf(numbered);
    while (this.bytes > PROCESS_LOG_BYTES && this.events.length > 1) {
      const oldest = this.events.shift() as ProcessEvent;
      this.bytes -= sizeOf(oldest);
      if ('data' in oldest) this.dropped += Buffer.byteLength(oldest.data, oldest.encoding);
    }
    return Promise.all([...this.followers].map((follower) => follower(numbered)));
  }
}

function sizeOf(event: ProcessEvent): number {
  return 64 + ('data' in event ? event.data.length : 0);
}
