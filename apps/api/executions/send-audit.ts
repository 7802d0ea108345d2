import type { AuditEntry, AuditEvent, StreamEvent } from '@cordon/contracts';
import type { FastifyReply } from 'fastify';
import { AUDIT_CONTENT, type AuditFormat } from '../http/audit-filter.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { beginStream } from '../http/stream.js';
import type { ExecutionsService } from './executions.service.js';
import { HEARTBEAT_MS } from './send-events.js';

/** The event of a batch, and the place of a record in it. */
export const AUDIT_RECORD_ID = /^(\d{1,15})-(\d{1,15})\.(\d{1,9})$/;

export interface AuditWish {
  readonly format: AuditFormat;
  readonly wanted: (record: AuditEntry, event: AuditEvent) => boolean;
  /** Only what came after that record. */
  readonly lastId: string | undefined;
}

/** Sends a record's system calls as they come, until its end or the client goes. Throws ProblemException before the first. */
export async function sendAudit(
  executions: ExecutionsService,
  id: string,
  reply: FastifyReply,
  { format, wanted, lastId }: AuditWish,
): Promise<void> {
  const after = placeOf(lastId);
  const gone = goneSignal(reply);
  const raw = beginStream(reply, AUDIT_CONTENT[format]);
  for await (const event of executions.events(id, after.before, HEARTBEAT_MS, gone)) {
    if (event === null && format === 'sse') await writeTo(reply, ': still here\n\n', gone);
    if (event?.type !== 'audit') continue;
    const text = shown(event, format, wanted, event.id === after.event ? after.index + 1 : 0);
    if (text !== '') await writeTo(reply, text, gone);
  }
  if (format === 'sse' && !gone.aborted) raw.write('event: end\ndata: {}\n\n');
  raw.end();
}

/** The records of one batch from `first` on. */
function shown({ id, data }: StreamEvent, format: AuditFormat, wanted: AuditWish['wanted'], first: number): string {
  const batch = JSON.parse(data) as AuditEvent;
  const { records, text, test, program } = batch;
  // Of a submission, each record says whose it is.
  const whose = test === undefined ? {} : { test, program };
  const prefix = test === undefined ? '' : `[test ${test} ${program}]`;
  const lines = records.map((record, index) => {
    if (index < first || !wanted(record, batch)) return '';
    if (format === 'strace') return `${prefix}[pid ${record.tid}] ${text[index]}\n`;
    if (format === 'ndjson') return `${JSON.stringify({ ...record, ...whose })}\n`;
    return `id: ${id}.${index}\nevent: audit\ndata: ${JSON.stringify({ ...record, ...whose, text: text[index] })}\n\n`;
  });
  return lines.join('');
}

/** Its batch is read once more: it may have had further records. */
function placeOf(lastId: string | undefined): { before: string; event: string | null; index: number } {
  if (lastId === undefined) return { before: '0', event: null, index: 0 };
  const [, at, number, index] = AUDIT_RECORD_ID.exec(lastId) ?? [];
  if (at === undefined) throw new ProblemException('invalid-request', 'Last-Event-ID is none of ours');
  const before =
    Number(number) > 0 ? `${at}-${Number(number) - 1}` : `${Math.max(Number(at) - 1, 0)}-${2n ** 64n - 1n}`;
  return { before: Number(at) === 0 ? '0' : before, event: `${at}-${number}`, index: Number(index) };
}
