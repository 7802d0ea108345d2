import type { AuditEntry, AuditEvent } from '@cordon/contracts';
import type { FastifyReply } from 'fastify';
import { goneSignal } from '../http/gone.js';
import type { ExecutionsService } from './executions.service.js';
import { HEARTBEAT_MS } from './send-events.js';

/** Sends a record's system calls as they come, one a line, until its end or the client goes. */
export async function sendAudit(
  executions: ExecutionsService,
  id: string,
  reply: FastifyReply,
  strace: boolean,
  wanted: (record: AuditEntry, event: AuditEvent) => boolean,
): Promise<void> {
  const gone = goneSignal(reply);
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'content-type': strace ? 'text/plain; charset=utf-8' : 'application/x-ndjson' });
  for await (const event of executions.events(id, '0', HEARTBEAT_MS, gone)) {
    if (event?.type !== 'audit') continue;
    const batch = JSON.parse(event.data) as AuditEvent;
    const { records, text, test, program } = batch;
    // Of a submission, each record says whose it is.
    const whose = test === undefined ? {} : { test, program };
    const prefix = test === undefined ? '' : `[test ${test} ${program}]`;
    const lines = records.flatMap((record, index) => {
      if (!wanted(record, batch)) return [];
      return [strace ? `${prefix}[pid ${record.tid}] ${text[index]}` : JSON.stringify({ ...record, ...whose })];
    });
    if (lines.length > 0 && !raw.write(`${lines.join('\n')}\n`) && !gone.aborted) {
      await new Promise((resolve) => raw.once('drain', resolve).once('close', resolve));
    }
  }
  raw.end();
}
