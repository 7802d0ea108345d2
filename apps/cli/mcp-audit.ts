import type { AuditFilter, SystemCall } from '@cordon/mcp';

/** Records kept of one run or sandbox, and runs whose records are kept. */
const RECORDS_KEPT = 20_000;
const RUNS_KEPT = 20;

/** System calls of runs and sandboxes; the last of each. */
export class AuditLog {
  private readonly logs = new Map<string, SystemCall[]>();
  private readonly runs: string[] = [];

  /** Takes records of `id` from now on. A run is forgotten once there are enough younger ones. */
  open(id: string, run: boolean): (records: readonly SystemCall[]) => void {
    const log: SystemCall[] = [];
    this.logs.set(id, log);
    if (run) this.runs.push(id);
    if (this.runs.length > RUNS_KEPT) this.logs.delete(this.runs.shift() as string);
    return (records) => {
      log.push(...records);
      log.splice(0, log.length - RECORDS_KEPT);
    };
  }

  close(id: string): void {
    this.logs.delete(id);
  }

  /** Null: nothing is known of it. */
  find(id: string, { syscalls, pid, programs }: AuditFilter): readonly SystemCall[] | null {
    const log = this.logs.get(id);
    if (!log) return null;
    const names = syscalls ? new Set(syscalls) : null;
    return log.filter(
      (record) =>
        (names?.has(record.name) ?? true) &&
        (pid === undefined || record.pid === pid) &&
        (programs?.includes(record.comm) ?? true),
    );
  }
}
