import type { AuditEntry } from '@cordon/contracts';
import { applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiQuery } from '@nestjs/swagger';
import { ProblemException } from './problem.js';
import { wholeNumber } from './query.js';

/** Of a process's name, as Linux keeps it: PR_SET_NAME(2const). */
const COMM_BYTES = 15;
const PID_MOST = 2 ** 31;
const NAMES_MOST = 100;

const FORMATS = ['ndjson', 'strace', 'sse'] as const;
export type AuditFormat = (typeof FORMATS)[number];
export const AUDIT_CONTENT: Readonly<Record<AuditFormat, string>> = {
  ndjson: 'application/x-ndjson',
  strace: 'text/plain; charset=utf-8',
  sse: 'text/event-stream',
};

/** Query parameters as they came: one given several times is a list. */
export type AuditQuery = Readonly<Record<string, string | string[] | undefined>>;

/** What an endpoint that tells system calls takes and answers with, in the document. */
export function ApiAudit(lastEventId: RegExp): MethodDecorator {
  const names = { type: 'array', items: { type: 'string', maxLength: COMM_BYTES }, maxItems: NAMES_MOST } as const;
  const text = { schema: { type: 'string' as const } };
  return applyDecorators(
    ApiQuery({
      name: 'format',
      required: false,
      description: 'Otherwise by the Accept header',
      schema: { type: 'string', enum: [...FORMATS] },
    }),
    ApiQuery({ name: 'syscall', required: false, description: 'Names, separated by commas', ...text }),
    ApiQuery({
      name: 'pid',
      required: false,
      description: 'Of one process, all its threads',
      schema: { type: 'integer', minimum: 1, maximum: PID_MOST },
    }),
    ApiQuery({
      name: 'comm',
      required: false,
      description: `Of processes with this name (\`comm\` of a record): at most ${COMM_BYTES} bytes, as the kernel cuts it; several times: any of them`,
      schema: names,
    }),
    ApiHeader({
      name: 'Last-Event-ID',
      required: false,
      description: 'Only what came after that record',
      schema: { type: 'string', pattern: lastEventId.source },
    }),
    ApiOkResponse({
      description: 'One record a line, or an event',
      content: { 'application/x-ndjson': text, 'text/plain': text, 'text/event-stream': text },
    }),
  );
}

/** Which records are asked for. Throws ProblemException (422) for what no record could be. */
export function auditFilter({ syscall, pid, comm }: AuditQuery): (record: AuditEntry) => boolean {
  const calls = syscall === undefined ? null : new Set(String(syscall).split(','));
  const process = pid === undefined ? null : wholeNumber(pid as string, 'pid', 1, PID_MOST, 0);
  const names = comm === undefined ? null : new Set([comm].flat());
  if ([...(names ?? [])].some((name) => Buffer.byteLength(name) > COMM_BYTES))
    throw wrong('comm', `at most ${COMM_BYTES} bytes: the kernel cuts names there`);
  if (names !== null && names.size > NAMES_MOST) throw wrong('comm', `at most ${NAMES_MOST} names`);
  return (record) =>
    (calls === null || calls.has(record.name)) &&
    (process === null || process === record.pid) &&
    (names === null || names.has(record.comm));
}

/** Throws ProblemException (422) for a format that is none. */
export function auditFormat({ format }: AuditQuery, accept: string): AuditFormat {
  if (format !== undefined) {
    const known = FORMATS.find((one) => one === format);
    if (known === undefined) throw wrong('format', `one of ${FORMATS.join(', ')}`);
    return known;
  }
  if (accept.includes('text/event-stream')) return 'sse';
  return accept.includes('text/plain') ? 'strace' : 'ndjson';
}

function wrong(name: string, detail: string): ProblemException {
  return new ProblemException('invalid-request', undefined, [{ pointer: `?${name}`, detail }]);
}
