import type { ExecutionJob, OutputEvent, Priority, RuntimeDto } from '@cordon/contracts';
import { Controller, Delete, Get, HttpCode, Post, Req, Res, UseGuards } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ExecutionsService, newId } from '../../executions/executions.service.js';
import { AuthGuard, Scopes } from '../../http/auth.guard.js';
import { goneSignal } from '../../http/gone.js';
import { ProblemException } from '../../http/problem.js';
import { PISTON_PATHS } from './piston.auth.js';
import { readRequest, versionOf } from './request.js';
import { answerOf, type PistonAnswer, type StagedExecution, type Written } from './response.js';

/** How often an idle wait looks around, ms. */
const HEARTBEAT_MS = 15_000;
const FIRST_EVENT = '0-0';

/**
 * Piston's API v2, under the paths of a server of one's own and of the public one. Its document is Piston's; ours leaves it out.
 */
@ApiExcludeController()
@UseGuards(AuthGuard)
@Scopes('run')
@Controller(PISTON_PATHS)
export class PistonController {
  constructor(private readonly executions: ExecutionsService) {}

  @Get('runtimes')
  async runtimes(): Promise<{ language: string; version: string; aliases: readonly string[] }[]> {
    const runtimes = await this.executions.runtimes();
    return runtimes.map((runtime) => ({
      language: runtime.id,
      version: versionOf(runtime),
      aliases: runtime.aliases,
    }));
  }

  @Get('packages')
  async packages(): Promise<{ language: string; language_version: string; installed: boolean }[]> {
    const runtimes = await this.executions.runtimes();
    return runtimes.map((runtime) => ({
      language: runtime.id,
      language_version: versionOf(runtime),
      installed: true,
    }));
  }

  @Post('packages')
  install(): never {
    return this.refusePackages();
  }

  @Delete('packages')
  uninstall(): never {
    return this.refusePackages();
  }

  private refusePackages(): never {
    throw new ProblemException('forbidden', 'packages come with the image: nothing can be installed or removed here');
  }

  @Post('execute')
  @HttpCode(200)
  async execute(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PistonAnswer> {
    const gone = goneSignal(reply);
    const id = newId('exe');
    let runtime: RuntimeDto | null = null;
    await this.executions.create(request.principal, request.body, undefined, id, (body, newest, runtimes) => {
      const asked = readRequest(body, runtimes);
      runtime = asked.runtime;
      const job: ExecutionJob = { id: newest, ...asked.job };
      const priority: Priority = 'interactive';
      return { job, labels: {}, priority, webhook: null };
    });
    const { execution, written } = await this.follow(id, request.tenant, gone);
    // Set by the validation above, without which there is no execution.
    return answerOf(runtime as unknown as RuntimeDto, execution, written);
  }

  /** What it writes, in order, and how it ends. Ends it when the client goes. */
  private async follow(
    id: string,
    tenant: string,
    gone: AbortSignal,
  ): Promise<{ execution: StagedExecution; written: Written }> {
    const written = { stdout: '', stderr: '', output: '' };
    for await (const event of this.executions.events(id, FIRST_EVENT, HEARTBEAT_MS, gone)) {
      if (event?.type === 'stdout' || event?.type === 'stderr') {
        const { data, encoding } = JSON.parse(event.data) as OutputEvent;
        const text = Buffer.from(data, encoding).toString('utf8');
        written[event.type] += text;
        written.output += text;
      } else if (event?.type === 'status' && (JSON.parse(event.data) as { restarted?: boolean }).restarted) {
        // The worker was lost: what the first attempt wrote is void.
        Object.assign(written, { stdout: '', stderr: '', output: '' });
      }
    }
    if (gone.aborted) await this.executions.cancel(tenant, id);
    return { execution: await this.executions.get(tenant, id), written };
  }
}
