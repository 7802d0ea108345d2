import { AUDIT_GAP, AUDIT_TRUNCATED, type AuditEntry, SANDBOX_AUDIT_BYTES } from '@cordon/contracts';
import { Controller, Get, Headers, Param, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { wholeNumber } from '../http/query.js';
import { type AuditLine, SandboxAuditService } from './sandbox-audit.service.js';

const FORMATS = ['ndjson', 'strace', 'sse'] as const;
type Format = (typeof FORMATS)[number];
const CONTENT: Readonly<Record<Format, string>> = {
  ndjson: 'application/x-ndjson',
  strace: 'text/plain; charset=utf-8',
  sse: 'text/event-stream',
};
const NUMBER = /^\d{1,15}$/;

@ApiTags('sandboxes')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller('v1/sandboxes/:id/audit')
export class SandboxAuditController {
  constructor(private readonly audits: SandboxAuditService) {}

  @Get()
  @ApiOperation({
    summary: 'Its system calls: NDJSON, as strace prints them, or as server-sent events',
    description:
      `The last ${SANDBOX_AUDIT_BYTES >> 20} MiB are kept, for an hour after its end; an entry \`${AUDIT_GAP}\` says how many are missing where some ` +
      'are. Answers what there is; with `follow`, and always as server-sent events, also what comes until the sandbox ends. The id of an ' +
      'event is the number of its record: Last-Event-ID resumes.',
  })
  @ApiQuery({
    name: 'format',
    required: false,
    description: 'Otherwise by the Accept header',
    schema: { type: 'string', enum: [...FORMATS] },
  })
  @ApiQuery({ name: 'syscall', required: false, description: 'Names, separated by commas', schema: { type: 'string' } })
  @ApiQuery({ name: 'pid', required: false, schema: { type: 'integer', minimum: 1, maximum: 2 ** 31 } })
  @ApiQuery({ name: 'follow', required: false, schema: { type: 'boolean', default: false } })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'Only what came after that record',
    schema: { type: 'string', pattern: NUMBER.source },
  })
  @ApiOkResponse({
    description: 'One record a line, or an event',
    content: {
      'application/x-ndjson': { schema: { type: 'string' } },
      'text/plain': { schema: { type: 'string' } },
      'text/event-stream': { schema: { type: 'string' } },
    },
  })
  @ApiProblems('not-found', 'unavailable', 'invalid-request')
  async audit(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('format') format?: string,
    @Query('syscall') syscall?: string,
    @Query('pid') pid?: string,
    @Query('follow') follow = 'false',
    @Headers('accept') accept = '',
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    const wanted = filter(syscall, pid);
    const as = formatOf(format, accept);
    if (follow !== 'true' && follow !== 'false') throw wrong('?follow', 'true or false');
    if (lastId !== undefined && !NUMBER.test(lastId))
      throw new ProblemException('invalid-request', 'Last-Event-ID is none of ours');
    const from = lastId === undefined ? 0 : Number(lastId) + 1;
    const gone = goneSignal(reply);
    await this.audits.settle(request.tenant, id);
    const live = as === 'sse' || follow === 'true';
    const lines = live ? this.audits.follow(request.tenant, id, from, gone) : this.audits.read(id, from);
    await send(reply, lines, as, wanted, gone);
  }
}

async function send(
  reply: FastifyReply,
  lines: AsyncIterable<AuditLine | null>,
  format: Format,
  wanted: (record: AuditEntry) => boolean,
  gone: AbortSignal,
): Promise<void> {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': CONTENT[format], 'cache-control': 'no-cache', 'x-accel-buffering': 'no' });
  // Whoever follows knows that it began before something happens.
  reply.raw.flushHeaders();
  for await (const line of lines) {
    if (gone.aborted) break;
    if (line === null) {
      if (format === 'sse') await writeTo(reply, ': still here\n\n', gone);
    } else if (wanted(line.record)) await writeTo(reply, shown(line, format), gone);
  }
  if (format === 'sse') reply.raw.write('event: end\ndata: {}\n\n');
  reply.raw.end();
}

function shown({ record, text }: AuditLine, format: Format): string {
  if (format === 'strace') return `${text}\n`;
  if (format === 'ndjson') return `${JSON.stringify(record)}\n`;
  return `id: ${record.sequence}\nevent: audit\ndata: ${JSON.stringify({ ...record, text })}\n\n`;
}

/** What is missing is told to everybody. */
function filter(syscall: string | undefined, pid: string | undefined): (record: AuditEntry) => boolean {
  const names = syscall === undefined ? null : new Set(String(syscall).split(','));
  const process = pid === undefined ? null : wholeNumber(pid, 'pid', 1, 2 ** 31, 0);
  return ({ name, pid: whose }) =>
    name === AUDIT_GAP ||
    name === AUDIT_TRUNCATED ||
    ((names === null || names.has(name)) && (process === null || process === whose));
}

function formatOf(given: string | undefined, accept: string): Format {
  if (given !== undefined) {
    const known = FORMATS.find((format) => format === given);
    if (known === undefined) throw wrong('?format', `one of ${FORMATS.join(', ')}`);
    return known;
  }
  if (accept.includes('text/event-stream')) return 'sse';
  return accept.includes('text/plain') ? 'strace' : 'ndjson';
}

function wrong(pointer: string, detail: string): ProblemException {
  return new ProblemException('invalid-request', undefined, [{ pointer, detail }]);
}
