import { createHash } from 'node:crypto';
import type { AuditEntry, EventType } from '@cordon/contracts';
import type { ExecutionStore } from '@cordon/queue';
import { OutputCollector } from './output-collector.js';

/** While a write to Redis is under way, news gathers and goes with the next one. */
export class EventRelay {
  readonly stdout = new OutputCollector();
  readonly stderr = new OutputCollector();
  auditRecords = 0;
  /** This attempt is not the current one any more: nothing it says counts. */
  superseded = false;
  private readonly order: ('stdout' | 'stderr')[] = [];
  private stdoutTaken = 0;
  private stderrTaken = 0;
  private audit: AuditEntry[] = [];
  private auditText: string[] = [];
  private chain = '';
  private writing: Promise<void> | null = null;

  constructor(
    private readonly store: ExecutionStore,
    private readonly id: string,
    private readonly attempt: number,
    private readonly render: (entry: AuditEntry) => string,
  ) {}

  /** Resolves when there is room for more: backpressure reaches the guest. */
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> | undefined {
    this[stream].push(bytes);
    if (this.order.at(-1) !== stream) this.order.push(stream);
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

  private kick(): Promise<void> | undefined {
    if (this.writing) return this.audit.length > 5_000 ? this.writing : undefined;
    this.writing = this.write(false).finally(() => {
      this.writing = null;
      if (this.order.length > 0 || this.audit.length > 0) this.kick();
    });
    return undefined;
  }

  private async write(final: boolean): Promise<void> {
    const events: { type: EventType; data: unknown }[] = [];
    for (const stream of final ? (['stdout', 'stderr'] as const) : new Set(this.order.splice(0))) {
      const taken = this[stream].take(stream === 'stdout' ? this.stdoutTaken : this.stderrTaken, final);
      if (stream === 'stdout') this.stdoutTaken = taken.next;
      else this.stderrTaken = taken.next;
      if (taken.event) events.push({ type: stream, data: taken.event });
    }
    while (this.audit.length > 0) {
      const records = this.audit.splice(0, 500);
      const text = this.auditText.splice(0, 500);
      this.chain = createHash('sha256').update(this.chain).update(JSON.stringify(records)).digest('hex');
      events.push({ type: 'audit', data: { records, text, chain: this.chain } });
    }
    if (events.length === 0 || this.superseded) return;
    this.superseded = !(await this.store.append(this.id, this.attempt, events));
  }

  /** Everything that is still here, then nothing more. */
  async finish(): Promise<void> {
    while (this.writing) await this.writing;
    await this.write(true);
  }
}
