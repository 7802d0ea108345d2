import type { Readable } from 'node:stream';
import { UnpackedDto } from '@cordon/contracts';
import { Controller, Get, HttpCode, Param, Put, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiConsumes, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiBodyProblems, ApiProblems } from '../http/api-problems.js';
import { AuthGuard, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';
import { isRoot, USER } from './file-user.js';
import { packed } from './pack.js';
import { packedZip } from './pack-zip.js';
import { SandboxesService } from './sandboxes.service.js';
import { unpack, unpackZip } from './unpack.js';
import { absolutePath } from './validate.js';

const TAR = 'application/x-tar';
const ZIP = 'application/zip';
const BINARY = { schema: { type: 'string' as const, format: 'binary' } };
const FORMAT = {
  name: 'format',
  required: false,
  schema: { type: 'string', enum: ['tar', 'zip'], default: 'tar' },
} as const;
const PATH = {
  name: 'path',
  required: true,
  description: 'A directory: absolute, or relative to /work',
  schema: { type: 'string', minLength: 1, maxLength: 4095 },
} as const;

@ApiTags('sandboxes')
@ApiBearerAuth()
@UseGuards(AuthGuard)
@Scopes('sandbox')
@Controller('v1/sandboxes/:id/files/archive')
export class SandboxArchiveController {
  constructor(private readonly sandboxes: SandboxesService) {}

  @Get()
  @ApiOperation({
    summary: 'A directory as a tar or zip archive',
    description:
      'Files, directories and symbolic links. Where a file becomes shorter while it is read, the answer breaks off.',
  })
  @ApiQuery(PATH)
  @ApiQuery(USER)
  @ApiQuery(FORMAT)
  @ApiOkResponse({ description: 'The archive', content: { [TAR]: BINARY, [ZIP]: BINARY } })
  @ApiProblems('not-found', 'sandbox-ended', 'sandbox-refused', 'invalid-request', 'payload-too-large')
  async read(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('user') user?: string,
    @Query('format') format = 'tar',
  ): Promise<void> {
    const place = absolutePath(path, '?path');
    const root = isRoot(user);
    if (format !== 'tar' && format !== 'zip')
      throw new ProblemException('invalid-request', undefined, [{ pointer: '?format', detail: 'tar or zip' }]);
    const gone = goneSignal(reply);
    await this.sandboxes.with(request.tenant, id, async (link) => {
      // What is no directory is refused before the answer begins.
      await link.ask(id, { op: 'list', path: place, offset: 0, root });
      const archive = await (format === 'zip' ? packedZip : packed)(link, id, place, root);
      gone.addEventListener('abort', () => archive.destroy());
      if (gone.aborted) archive.destroy();
      reply.hijack();
      reply.raw.writeHead(200, { 'content-type': format === 'zip' ? ZIP : TAR });
      try {
        for await (const chunk of archive) await writeTo(reply, chunk as Buffer, gone);
        reply.raw.end();
      } catch {
        // Half an archive must not look like a whole one.
        reply.raw.destroy();
      }
    });
  }

  @Put()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Unpack a tar or zip archive into a directory, which is made',
    description:
      'What is there stays, unless the archive has something of that name. First all of it is read: one that breaks off or is refused ' +
      '(“..”, absolute names, links that lead out of it, devices, hard links) changes nothing.',
  })
  @ApiQuery(PATH)
  @ApiQuery(USER)
  @ApiConsumes(TAR, ZIP)
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiOkResponse({ type: UnpackedDto })
  @ApiBodyProblems('not-found', 'sandbox-ended', 'sandbox-refused')
  write(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Query('path') path?: string,
    @Query('user') user?: string,
  ): Promise<UnpackedDto> {
    const place = absolutePath(path, '?path');
    const root = isRoot(user);
    const body = request.body as Readable | undefined;
    if (typeof body?.pipe !== 'function') throw new ProblemException('unsupported-media-type', `send ${TAR} or ${ZIP}`);
    const open = (request.headers['content-type'] ?? '').startsWith(ZIP) ? unpackZip : unpack;
    return this.sandboxes.with(request.tenant, id, (link) => open(link, id, place, body, root));
  }
}
