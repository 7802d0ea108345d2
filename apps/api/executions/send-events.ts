import type { StreamEvent } from '@cordon/contracts';
import type { FastifyReply } from 'fastify';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { beginStream } from '../http/stream.js';
import type { ExecutionsService } from './executions.service.js';

export const HEARTBEAT_MS = 15_000;
const EVENT_ID = /^\d{1,20}-\d{1,20}$/;

/** Sends a record's events as they come, until its last one or the client goes. `shown`: an event as this endpoint tells it. */
export async function sendEvents(
  executions: ExecutionsService,
  id: string,
  lastId: string | undefined,
  reply: FastifyReply,
  shown: (event: StreamEvent) => StreamEvent = (event) => event,
): Promise<void> {
  if (lastId !== undefined && !EVENT_ID.test(lastId))
    throw new ProblemException('invalid-request', 'Last-Event-ID is none of ours');
  const gone = goneSignal(reply);
  const raw = beginStream(reply);
  for await (const event of executions.events(id, lastId ?? '0', HEARTBEAT_MS, gone)) {
    // JSON has no raw line breaks, so one data line holds it whatever the guest printed.
    const told = event && shown(event);
    const text = told ? `id: ${told.id}\nevent: ${told.type}\ndata: ${told.data}\n\n` : ': still here\n\n';
    await writeTo(reply, text, gone);
  }
  raw.end();
}
