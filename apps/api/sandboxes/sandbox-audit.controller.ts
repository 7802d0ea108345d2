import { AUDIT_GAP, AUDIT_TRUNCATED, type AuditEntry, SANDBOX_AUDIT_BYTES } from '@cordon/contracts';
import { Controller, Get, Headers, Param, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiProblems } from '../http/api-problems.js';
import {
  ApiAudit,
  AUDIT_CONTENT,
  type AuditFormat,
  type AuditQuery,
  auditFilter,
  auditFormat,
} from '../http/audit-filter.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { beginStream } from '../http/stream.js';
import { type AuditLine, SandboxAuditService } from './sandbox-audit.service.js';

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
  @ApiAudit(NUMBER)
  @ApiQuery({ name: 'follow', required: false, schema: { type: 'boolean', default: false } })
  @ApiProblems('not-found', 'unavailable', 'invalid-request')
  async audit(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query() query: AuditQuery,
    @Headers('accept') accept = '',
    @Headers('last-event-id') lastId?: string,
  ): Promise<void> {
    const { follow = 'false' } = query;
    const asked = auditFilter(query);
    // What is missing is told to everybody.
    const wanted = (record: AuditEntry): boolean =>
      record.name === AUDIT_GAP || record.name === AUDIT_TRUNCATED || asked(record);
    const as = auditFormat(query, accept);
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
  format: AuditFormat,
  wanted: (record: AuditEntry) => boolean,
  gone: AbortSignal,
): Promise<void> {
  beginStream(reply, AUDIT_CONTENT[format]);
  for await (const line of lines) {
    if (gone.aborted) break;
    if (line === null) {
      if (format === 'sse') await writeTo(reply, ': still here\n\n', gone);
    } else if (wanted(line.record)) await writeTo(reply, shown(line, format), gone);
  }
  if (format === 'sse') reply.raw.write('event: end\ndata: {}\n\n');
  reply.raw.end();
}

function shown({ record, text }: AuditLine, format: AuditFormat): string {
  if (format === 'strace') return `${text}\n`;
  if (format === 'ndjson') return `${JSON.stringify(record)}\n`;
  return `id: ${record.sequence}\nevent: audit\ndata: ${JSON.stringify({ ...record, text })}\n\n`;
}

function wrong(pointer: string, detail: string): ProblemException {
  return new ProblemException('invalid-request', undefined, [{ pointer, detail }]);
}
