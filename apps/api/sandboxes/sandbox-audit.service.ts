import { AUDIT_GAP, type AuditEntry } from '@cordon/contracts';
import { SandboxAuditStore } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService } from '../executions/executions.service.js';
import { ProblemException } from '../http/problem.js';
import { SandboxesService } from './sandboxes.service.js';

const BATCHES_AT_ONCE = 20;
/** One that follows looks this often whether the worker is still there. */
const LOOK_MS = 2_000;

/** One system call, and as strace prints it. */
export interface AuditLine {
  readonly record: AuditEntry;
  readonly text: string;
}

/** The system calls of sandboxes, of those that have ended too. */
@Injectable()
export class SandboxAuditService {
  private readonly store: SandboxAuditStore;

  constructor(
    private readonly sandboxes: SandboxesService,
    private readonly executions: ExecutionsService,
  ) {
    this.store = new SandboxAuditStore(executions.redis);
  }

  /**
   * Makes sure that what the sandbox did until now will be read; one that has ended has told all. Throws ProblemException (404)
   * for what is not there or another tenant's.
   */
  async settle(tenant: string, id: string): Promise<void> {
    const { sandbox } = await this.sandboxes.get(tenant, id);
    if (sandbox.state === 'ended') return;
    try {
      await this.sandboxes.with(tenant, id, (link) => link.json(`/sandboxes/${id}/audit`, {}));
    } catch (error) {
      // It ended just now.
      if (!(error instanceof ProblemException && error.problem.type.endsWith(':sandbox-ended'))) throw error;
    }
  }

  /** From the record with this number on; where some are not kept any more, an entry says how many. */
  async *read(id: string, from: number): AsyncGenerator<AuditLine> {
    const reading = new Reading(this.store, id, from);
    for (let batch = await reading.next(); batch !== null; batch = await reading.next()) yield* batch;
  }

  /** The same, and what comes until the sandbox ends or `gone`; null when nothing came for a while. */
  async *follow(tenant: string, id: string, from: number, gone: AbortSignal): AsyncGenerator<AuditLine | null> {
    const reading = new Reading(this.store, id, from);
    const news = new NewsFlag((wake) => this.executions.follow(id, wake), gone);
    let over = false;
    try {
      while (!gone.aborted) {
        news.seen();
        for (let batch = await reading.next(); batch !== null; batch = await reading.next()) yield* batch;
        // Read once more after it was seen to be over: the last may have come between the two.
        if (over || gone.aborted) return;
        over = (await this.sandboxes.get(tenant, id)).sandbox.state === 'ended';
        if (!over && !(await news.wait(LOOK_MS))) yield null;
      }
    } finally {
      news.close();
    }
  }
}

/** A place in the stream of one sandbox. */
class Reading {
  private after: string | null = null;

  constructor(
    private readonly store: SandboxAuditStore,
    private readonly id: string,
    private expected: number,
  ) {}

  async next(): Promise<AuditLine[] | null> {
    const batches = await this.store.read(this.id, this.after, BATCHES_AT_ONCE);
    if (batches.length === 0) return null;
    const lines: AuditLine[] = [];
    for (const { id, records, text } of batches) {
      this.after = id;
      records.forEach((record, index) => {
        if (record.sequence < this.expected) return;
        if (record.sequence > this.expected) lines.push(gap(record, record.sequence - this.expected));
        lines.push({ record, text: `[pid ${record.tid}] ${text[index]}` });
        this.expected = record.sequence + 1;
      });
    }
    return lines;
  }
}

/** Stands for the `missing` records before this one, under the number of the last of them. */
function gap(before: AuditEntry, missing: number): AuditLine {
  const record: AuditEntry = {
    ...before,
    sequence: before.sequence - 1,
    duration: 0,
    pid: 0,
    tid: 0,
    comm: '',
    number: -1,
    name: AUDIT_GAP,
    arguments: [{ name: 'records', kind: 'text', text: String(missing) }],
    result: null,
    error: null,
    decision: 'log',
  };
  return { record, text: `--- ${AUDIT_GAP}: ${missing} ---` };
}

/** Whether there was news since `seen`. */
class NewsFlag {
  private fresh = false;
  private wake: (() => void) | null = null;
  private readonly unfollow: () => void;
  private readonly stop = (): void => this.wake?.();

  constructor(
    follow: (wake: () => void) => () => void,
    private readonly gone: AbortSignal,
  ) {
    this.unfollow = follow(() => {
      this.fresh = true;
      this.wake?.();
    });
    gone.addEventListener('abort', this.stop);
  }

  seen(): void {
    this.fresh = false;
  }

  /** False: none came in that time. */
  async wait(milliseconds: number): Promise<boolean> {
    if (!this.fresh && !this.gone.aborted) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        timer = setTimeout(resolve, milliseconds);
      });
      this.wake = null;
      clearTimeout(timer);
    }
    return this.fresh;
  }

  close(): void {
    this.unfollow();
    this.gone.removeEventListener('abort', this.stop);
  }
}
