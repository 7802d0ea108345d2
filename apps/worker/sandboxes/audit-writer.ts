import { type AuditEntry, SANDBOX_AUDIT_BYTES, type SandboxDto } from '@cordon/contracts';
import { keptSeconds, type SandboxAuditStore } from '@cordon/queue';

/** How long the first news waits for more. */
const GATHER_MS = 20;
const BATCH_RECORDS = 500;
/** System calls that may wait; over it the guest does. */
const WAITING_MOST = 5_000;

/**
 * The system calls of one sandbox on their way into the store, of which the last SANDBOX_AUDIT_BYTES stay. What was dropped, or
 * could not be written, shows as a gap in the sequence.
 */
export class AuditWriter {
  private waiting: AuditEntry[] = [];
  private readonly kept: { readonly id: string; readonly bytes: number }[] = [];
  private bytes = 0;
  private writing: Promise<void> | null = null;
  private timer: NodeJS.Timeout | null = null;
  private sandbox: SandboxDto | null = null;

  constructor(
    private readonly store: SandboxAuditStore,
    private readonly id: string,
    private readonly render: (entry: AuditEntry) => string,
    private readonly log: (line: string) => void,
  ) {}

  /** Resolves when there is room for more: backpressure reaches the guest. */
  records(entries: readonly AuditEntry[], sandbox: SandboxDto): Promise<void> | undefined {
    this.sandbox = sandbox;
    for (const entry of entries) this.waiting.push(entry);
    if (this.waiting.length > WAITING_MOST) return this.written();
    if (this.writing === null) this.soon();
    return undefined;
  }

  /** What was recorded until now is in the store. */
  written(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.writing ??= this.write().finally(() => {
      this.writing = null;
      // What came when the last was just written.
      if (this.waiting.length > 0) this.soon();
    });
    return this.writing;
  }

  private soon(): void {
    this.timer ??= setTimeout(() => void this.written(), GATHER_MS);
  }

  private async write(): Promise<void> {
    while (this.waiting.length > 0 && this.sandbox !== null) {
      const records = this.waiting.splice(0, BATCH_RECORDS);
      const batch = JSON.stringify({ records, text: records.map(this.render) });
      try {
        const id = await this.store.append(this.id, batch, keptSeconds(this.sandbox));
        this.kept.push({ id, bytes: batch.length });
        this.bytes += batch.length;
        await this.trim();
      } catch (error) {
        this.log(`${records.length} audit records were lost: ${(error as Error).message}`);
      }
    }
  }

  private async trim(): Promise<void> {
    if (this.bytes <= SANDBOX_AUDIT_BYTES) return;
    while (this.bytes > SANDBOX_AUDIT_BYTES && this.kept.length > 1) this.bytes -= this.kept.shift()?.bytes ?? 0;
    await this.store.trim(this.id, this.kept[0].id);
  }
}
