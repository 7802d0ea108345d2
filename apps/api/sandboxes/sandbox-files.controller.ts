import type { Readable } from 'node:stream';
import { LINK_CHUNK_BYTES, MoveDto, PathDto, SandboxFileDto, SandboxFileListDto, WrittenDto } from '@cordon/contracts';
import { Controller, Delete, Get, HttpCode, Param, Post, Put, Query, Req, Res, UseGuards } from '@nestjs/common';
import {
  ApiBearerAuth,
  ApiBody,
  ApiConsumes,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { validateDto } from '../http/validate-dto.js';
import { SandboxesService } from './sandboxes.service.js';
import { upload } from './upload.js';
import { absolutePath } from './validate.js';

const PATH = {
  name: 'path',
  required: true,
  description: 'Absolute, or relative to /work',
  schema: { type: 'string', minLength: 1, maxLength: 4095 },
} as const;
const BINARY = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } as const;
const MODE = /^0?[0-7]{3}$/;
const DIRECTORY_MODE = 0o755;
/** Entries of one listing. */
const LIST_MAX = 10_000;

@ApiTags('sandboxes')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller('v1/sandboxes/:id/files')
export class SandboxFilesController {
  constructor(private readonly sandboxes: SandboxesService) {}

  @Get()
  @ApiOperation({ summary: 'Content of a file' })
  @ApiQuery(PATH)
  @ApiOkResponse({ description: 'Its bytes', content: BINARY })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  async read(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('path') path?: string,
  ): Promise<void> {
    const place = absolutePath(path, '?path');
    const gone = goneSignal(reply);
    await this.sandboxes.with(request.tenant, id, async (link) => {
      let offset = 0;
      do {
        const { bytes } = await link.ask(id, { op: 'read', path: place, offset, length: LINK_CHUNK_BYTES });
        if (offset === 0) {
          reply.hijack();
          reply.raw.writeHead(200, { 'content-type': 'application/octet-stream' });
        }
        if (bytes.length === 0) break;
        offset += bytes.length;
        await writeTo(reply, bytes, gone);
      } while (!gone.aborted);
      reply.raw.end();
    });
  }

  @Put()
  @HttpCode(200)
  @ApiOperation({ summary: 'Write a file; its directories are made' })
  @ApiQuery(PATH)
  @ApiQuery({
    name: 'mode',
    required: false,
    description: 'Permission bits of a new file, octal',
    schema: { type: 'string', pattern: MODE.source, default: '644' },
  })
  @ApiConsumes('application/octet-stream')
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiOkResponse({ type: WrittenDto })
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  write(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('mode') mode = '644',
  ): Promise<WrittenDto> {
    const place = absolutePath(path, '?path');
    if (typeof mode !== 'string' || !MODE.test(mode))
      throw new ProblemException('invalid-request', undefined, [{ pointer: '?mode', detail: 'must be octal' }]);
    // JSON bodies were parsed for other endpoints' sake; here a body is what the file shall hold.
    if (!isStream(request.body)) throw new ProblemException('unsupported-media-type', 'send application/octet-stream');
    const body = request.body;
    return this.sandboxes.with(request.tenant, id, (link) =>
      upload(link, id, place, body, { mode: Number.parseInt(mode, 8) }),
    );
  }

  @Delete()
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a file or a directory' })
  @ApiQuery(PATH)
  @ApiQuery({
    name: 'recursive',
    required: false,
    description: 'A directory with all that is in it',
    schema: { type: 'boolean', default: false },
  })
  @ApiNoContentResponse()
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  async remove(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('recursive') recursive = 'false',
  ): Promise<void> {
    const place = absolutePath(path, '?path');
    if (recursive !== 'true' && recursive !== 'false')
      throw new ProblemException('invalid-request', undefined, [{ pointer: '?recursive', detail: 'true or false' }]);
    await this.sandboxes.with(request.tenant, id, (link) =>
      link.ask(id, { op: 'remove', path: place, recursive: recursive === 'true' }),
    );
  }

  @Get('list')
  @ApiOperation({ summary: 'Entries of a directory, at most 10,000' })
  @ApiQuery(PATH)
  @ApiOkResponse({ type: SandboxFileListDto })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  list(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('path') path?: string,
  ): Promise<SandboxFileListDto> {
    const place = absolutePath(path, '?path');
    return this.sandboxes.with(request.tenant, id, async (link) => {
      const items: SandboxFileDto[] = [];
      let offset: number | null = 0;
      while (offset !== null && items.length < LIST_MAX) {
        const { reply }: { reply: { entries: SandboxFileDto[]; next: number | null } } = await link.ask(id, {
          op: 'list',
          path: place,
          offset,
        });
        items.push(...reply.entries);
        offset = reply.next;
      }
      return { items: items.slice(0, LIST_MAX) };
    });
  }

  @Get('stat')
  @ApiOperation({ summary: 'One file or directory; a link itself, not its target' })
  @ApiQuery(PATH)
  @ApiOkResponse({ type: SandboxFileDto })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  stat(@Req() request: FastifyRequest, @Param('id') id: string, @Query('path') path?: string): Promise<SandboxFileDto> {
    const place = absolutePath(path, '?path');
    return this.sandboxes.with(
      request.tenant,
      id,
      async (link) => (await link.ask<{ entry: SandboxFileDto }>(id, { op: 'stat', path: place })).reply.entry,
    );
  }

  @Post('mkdir')
  @HttpCode(204)
  @ApiOperation({ summary: 'Make a directory and its parents' })
  @ApiBody({ type: PathDto })
  @ApiNoContentResponse()
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  async mkdir(@Req() request: FastifyRequest, @Param('id') id: string): Promise<void> {
    const path = absolutePath(validateDto(PathDto, request.body).path, '/path');
    await this.sandboxes.with(request.tenant, id, (link) => link.ask(id, { op: 'mkdir', path, mode: DIRECTORY_MODE }));
  }

  @Post('move')
  @HttpCode(204)
  @ApiOperation({ summary: 'Rename a file or a directory, as rename(2)' })
  @ApiBody({ type: MoveDto })
  @ApiNoContentResponse()
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  async move(@Req() request: FastifyRequest, @Param('id') id: string): Promise<void> {
    const dto = validateDto(MoveDto, request.body);
    const from = absolutePath(dto.from, '/from');
    const to = absolutePath(dto.to, '/to');
    await this.sandboxes.with(request.tenant, id, (link) => link.ask(id, { op: 'move', from, to }));
  }
}

function isStream(body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && typeof (body as Readable).pipe === 'function';
}
