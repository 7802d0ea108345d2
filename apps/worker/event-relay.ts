import { createHash } from 'node:crypto';
import type { AuditEntry, EventType } from '@cordon/contracts';
import type { ExecutionStore } from '@cordon/queue';
import { OutputCollector } from './output-collector.js';

export interface RelayedEvent {
  readonly type: EventType;
  readonly data: unknown;
}

/** How long the first news waits for more. */
const GATHER_MS = 2;
/** Changes from one output stream to the other that are told as they were; after so many, writes are gathered by stream. */
const TURNS_MOST = 2_000;
/** System calls that may wait; over it the guest does. */
const AUDIT_MOST = 5_000;

/** While a write to Redis is under way, news gathers and goes with the next one. */
export class EventRelay {
  readonly stdout = new OutputCollector();
  readonly stderr = new OutputCollector();
  auditRecords = 0;
  /** This attempt is not the current one any more: nothing it says counts. */
  superseded = false;
  /** What is to be told next: of which stream, up to which of its chunks. */
  private readonly pieces: { readonly stream: 'stdout' | 'stderr'; upTo: number }[] = [];
  private turns = 0;
  private audit: AuditEntry[] = [];
  private auditText: string[] = [];
  private chain = '';
  private writing: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly store: ExecutionStore,
    private readonly id: string,
    private readonly attempt: number,
    private readonly render: (entry: AuditEntry) => string,
  ) {}

  /** Resolves when there is room for more: backpressure reaches the guest. */
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> | undefined {
    const upTo = this[stream].push(bytes);
    const last = this.pieces.at(-1);
    // A program that goes to and fro without end must not make an event of every byte.
    const known =
      last?.stream === stream || this.turns < TURNS_MOST ? last : this.pieces.find((one) => one.stream === stream);
    if (known?.stream === stream) {
      known.upTo = upTo;
    } else {
      this.turns++;
      this.pieces.push({ stream, upTo });
    }
    return this.kick();
  }

  records(entries: readonly AuditEntry[]): Promise<void> | undefined {
    this.auditRecords += entries.length;
    for (const entry of entries) {
      this.audit.push(entry);
      this.auditText.push(this.render(entry));
    }
    return this.kick();
  }

  /** Little news waits a moment for more: a short run's goes with its end, in one write. */
  private kick(): Promise<void> | undefined {
    if (this.writing) return this.audit.length > AUDIT_MOST ? this.writing : undefined;
    if (this.audit.length > AUDIT_MOST) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
    return this.writing ?? undefined;
  }

  private flush(): void {
    this.stopTimer();
    this.writing = this.write().finally(() => {
      this.writing = null;
      if (this.pieces.length > 0 || this.audit.length > 0) this.kick();
    });
  }

  private stopTimer(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
  }

  private async write(): Promise<void> {
    const events = this.gather();
    if (events.length === 0 || this.superseded) return;
    this.superseded = !(await this.store.append(this.id, this.attempt, events));
  }

  private gather(): RelayedEvent[] {
    const events: RelayedEvent[] = [];
    for (const { stream, upTo } of this.pieces.splice(0)) {
      const data = this[stream].take(upTo, false);
      if (data) events.push({ type: stream, data });
    }
    while (this.audit.length > 0) {
      const records = this.audit.splice(0, 500);
      const text = this.auditText.splice(0, 500);
      this.chain = createHash('sha256').update(this.chain).update(JSON.stringify(records)).digest('hex');
      events.push({ type: 'audit', data: { records, text, chain: this.chain } });
    }
    return events;
  }

  /** What the stream does not have yet; nothing more comes after it. */
  async finish(): Promise<RelayedEvent[]> {
    this.stopTimer();
    while (this.writing) {
      await this.writing;
      this.stopTimer();
    }
    if (this.superseded) return [];
    const events = this.gather();
    for (const stream of ['stdout', 'stderr'] as const) {
      // The start of a character that never ended.
      const rest = this[stream].take(0, true);
      if (rest) events.push({ type: stream, data: rest });
    }
    return events;
  }
}
