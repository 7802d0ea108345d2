import type { Readable } from 'node:stream';
import {
  LINK_CHUNK_BYTES,
  MoveDto,
  PathDto,
  SandboxFileDto,
  SandboxFileListDto,
  WATCH_EVENTS,
  type WatchLine,
  WrittenDto,
} from '@cordon/contracts';
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
import { beginStream } from '../http/stream.js';
import { validateDto } from '../http/validate-dto.js';
import { isRoot, USER } from './file-user.js';
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
const HEARTBEAT_MS = 15_000;

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
  @ApiQuery(USER)
  @ApiOkResponse({ description: 'Its bytes', content: BINARY })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  async read(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('user') user?: string,
  ): Promise<void> {
    const place = absolutePath(path, '?path');
    const root = isRoot(user);
    const gone = goneSignal(reply);
    await this.sandboxes.with(request.tenant, id, async (link) => {
      let offset = 0;
      do {
        const { bytes } = await link.ask(id, { op: 'read', path: place, offset, length: LINK_CHUNK_BYTES, root });
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
  @ApiQuery(USER)
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
    @Query('user') user?: string,
  ): Promise<WrittenDto> {
    const place = absolutePath(path, '?path');
    const root = isRoot(user);
    if (typeof mode !== 'string' || !MODE.test(mode))
      throw new ProblemException('invalid-request', undefined, [{ pointer: '?mode', detail: 'must be octal' }]);
    // JSON bodies were parsed for other endpoints' sake; here a body is what the file shall hold.
    if (!isStream(request.body)) throw new ProblemException('unsupported-media-type', 'send application/octet-stream');
    const body = request.body;
    return this.sandboxes.with(request.tenant, id, (link) =>
      upload(link, id, place, body, { mode: Number.parseInt(mode, 8), root }),
    );
  }

  @Delete()
  @HttpCode(204)
  @ApiOperation({ summary: 'Remove a file or a directory' })
  @ApiQuery(PATH)
  @ApiQuery(USER)
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
    @Query('user') user?: string,
  ): Promise<void> {
    const place = absolutePath(path, '?path');
    const whole = booleanOf(recursive, 'recursive');
    const root = isRoot(user);
    await this.sandboxes.with(request.tenant, id, (link) =>
      link.ask(id, { op: 'remove', path: place, recursive: whole, root }),
    );
  }

  @Get('list')
  @ApiOperation({ summary: 'Entries of a directory, at most 10,000' })
  @ApiQuery(PATH)
  @ApiQuery(USER)
  @ApiOkResponse({ type: SandboxFileListDto })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  list(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('user') user?: string,
  ): Promise<SandboxFileListDto> {
    const place = absolutePath(path, '?path');
    const root = isRoot(user);
    return this.sandboxes.with(request.tenant, id, async (link) => {
      const items: SandboxFileDto[] = [];
      let offset: number | null = 0;
      while (offset !== null && items.length < LIST_MAX) {
        const { reply }: { reply: { entries: SandboxFileDto[]; next: number | null } } = await link.ask(id, {
          op: 'list',
          path: place,
          offset,
          root,
        });
        items.push(...reply.entries);
        offset = reply.next;
      }
      return { items: items.slice(0, LIST_MAX) };
    });
  }

  @Get('watch')
  @ApiOperation({
    summary: 'Server-sent events of what happens in a directory, until it is gone or the client leaves',
    description:
      `\`ready\` first, then ${WATCH_EVENTS.join(', ')}, each with \`path\`, below the directory. \`rename\` tells the old name and \`create\` the new one; ` +
      'after an `overflow` some events were lost.',
  })
  @ApiQuery(PATH)
  @ApiQuery(USER)
  @ApiQuery({
    name: 'recursive',
    required: false,
    description: 'Directories below it, too, at most 4,096',
    schema: { type: 'boolean', default: false },
  })
  @ApiOkResponse({ description: 'The events', content: { 'text/event-stream': { schema: { type: 'string' } } } })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  async watch(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('recursive') recursive = 'false',
    @Query('user') user?: string,
  ): Promise<void> {
    const place = absolutePath(path, '?path');
    const whole = booleanOf(recursive, 'recursive');
    const root = isRoot(user);
    const gone = goneSignal(reply);
    await this.sandboxes.with(request.tenant, id, async (link) => {
      const body = { path: place, recursive: whole, root };
      await streamWatch(reply, await link.openLines(`/sandboxes/${id}/watch`, body, gone), gone);
    });
  }

  @Get('stat')
  @ApiOperation({ summary: 'One file or directory; a link itself, not its target' })
  @ApiQuery(PATH)
  @ApiQuery(USER)
  @ApiOkResponse({ type: SandboxFileDto })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request')
  stat(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('user') user?: string,
  ): Promise<SandboxFileDto> {
    const place = absolutePath(path, '?path');
    const root = isRoot(user);
    return this.sandboxes.with(
      request.tenant,
      id,
      async (link) => (await link.ask<{ entry: SandboxFileDto }>(id, { op: 'stat', path: place, root })).reply.entry,
    );
  }

  @Post('mkdir')
  @HttpCode(204)
  @ApiOperation({ summary: 'Make a directory and its parents' })
  @ApiBody({ type: PathDto })
  @ApiNoContentResponse()
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  async mkdir(@Req() request: FastifyRequest, @Param('id') id: string): Promise<void> {
    const dto = validateDto(PathDto, request.body);
    const path = absolutePath(dto.path, '/path');
    const root = dto.user === 'root';
    await this.sandboxes.with(request.tenant, id, (link) =>
      link.ask(id, { op: 'mkdir', path, mode: DIRECTORY_MODE, root }),
    );
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
    const root = dto.user === 'root';
    await this.sandboxes.with(request.tenant, id, (link) => link.ask(id, { op: 'move', from, to, root }));
  }
}

function booleanOf(text: string, name: string): boolean {
  if (text !== 'true' && text !== 'false')
    throw new ProblemException('invalid-request', undefined, [{ pointer: `?${name}`, detail: 'true or false' }]);
  return text === 'true';
}

async function streamWatch(reply: FastifyReply, lines: AsyncIterable<string>, gone: AbortSignal): Promise<void> {
  beginStream(reply);
  reply.raw.write('event: ready\ndata: {}\n\n');
  const heartbeat = setInterval(() => reply.raw.write(': still here\n\n'), HEARTBEAT_MS);
  try {
    for await (const line of lines) {
      const { type, path } = JSON.parse(line) as WatchLine;
      await writeTo(reply, `event: ${type}\ndata: ${JSON.stringify({ path })}\n\n`, gone);
    }
    reply.raw.end();
  } finally {
    clearInterval(heartbeat);
  }
}

function isStream(body: unknown): body is Readable {
  return typeof body === 'object' && body !== null && typeof (body as Readable).pipe === 'function';
}
