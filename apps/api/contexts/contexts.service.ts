import {
  type ContextDto,
  type ContextEvent,
  type ContextListDto,
  type CreateContext,
  type RunInContext,
} from '@cordon/contracts';
import { Injectable } from '@nestjs/common';
import { ProblemException } from '../http/problem.js';
import { SandboxesService } from '../sandboxes/sandboxes.service.js';
import { LinkRefused } from '../sandboxes/worker-link.js';

/** Code contexts of sandboxes; the worker that keeps the sandbox keeps them. */
@Injectable()
export class ContextsService {
  constructor(private readonly sandboxes: SandboxesService) {}

  /**
   * Resolves when it takes code. `cwd` must be absolute. Throws ProblemException: 404, 409 (no such directory, too many contexts), 410,
   * 422 (the image has no such language).
   */
  create(tenant: string, sandboxId: string, context: CreateContext): Promise<ContextDto> {
    return this.ask(tenant, sandboxId, 'create', context);
  }

  async list(tenant: string, sandboxId: string): Promise<ContextDto[]> {
    return (await this.ask<ContextListDto>(tenant, sandboxId, 'list', {})).items;
  }

  get(tenant: string, sandboxId: string, context: string): Promise<ContextDto> {
    return this.ask(tenant, sandboxId, 'get', { context });
  }

  /** Runs under way end as `died`. */
  delete(tenant: string, sandboxId: string, context: string): Promise<ContextDto> {
    return this.ask(tenant, sandboxId, 'delete', { context });
  }

  /** A new interpreter under the same id; runs under way end as `died`. */
  restart(tenant: string, sandboxId: string, context: string): Promise<ContextDto> {
    return this.ask(tenant, sandboxId, 'restart', { context });
  }

  /** As Ctrl-C; nothing when nothing runs. */
  interrupt(tenant: string, sandboxId: string, context: string): Promise<ContextDto> {
    return this.ask(tenant, sandboxId, 'interrupt', { context });
  }

  /**
   * Runs code when its turn comes. The last event is `end`, whatever happens; leaving the loop, or `gone`, interrupts the run. Throws
   * ProblemException before the first event only: as `get`, and 409 for a dead context, 503 for a full queue.
   */
  async *run(
    tenant: string,
    sandboxId: string,
    context: string,
    run: RunInContext,
    gone: AbortSignal,
  ): AsyncGenerator<ContextEvent, void, undefined> {
    yield* await this.begin(tenant, sandboxId, context, run, gone);
  }

  /** As `run`; resolves when the run was accepted, perhaps long before its first event. */
  async begin(
    tenant: string,
    sandboxId: string,
    context: string,
    run: RunInContext,
    gone: AbortSignal,
  ): Promise<AsyncGenerator<ContextEvent, void, undefined>> {
    const lines = await this.explained(() =>
      this.sandboxes.with(tenant, sandboxId, async (link) => {
        const all = link.lines(`/sandboxes/${sandboxId}/contexts/run`, { context, ...run }, gone);
        // The first line says that it was accepted.
        await all.next();
        return all;
      }),
    );
    return this.events(lines, gone);
  }

  private async *events(
    lines: AsyncIterable<string>,
    gone: AbortSignal,
  ): AsyncGenerator<ContextEvent, void, undefined> {
    let ended = false;
    try {
      for await (const line of lines) {
        const event = JSON.parse(line) as ContextEvent;
        ended = event.type === 'end';
        yield event;
      }
    } catch {
      // The link broke: said below, as nothing ended the run.
    }
    if (ended || gone.aborted) return;
    yield { type: 'error', name: 'ContextDied', value: 'the worker that kept it was lost', traceback: '' };
    yield { type: 'end', executionCount: 0, outcome: 'died', exitCode: null };
  }

  private ask<T = ContextDto>(tenant: string, sandboxId: string, action: string, body: object): Promise<T> {
    return this.explained(() =>
      this.sandboxes.with(tenant, sandboxId, (link) =>
        link.json<T>(`/sandboxes/${sandboxId}/contexts/${action}`, body),
      ),
    );
  }

  private async explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LinkRefused) || error.refusal.context === undefined) throw error;
      throw problemOf(error.refusal);
    }
  }
}

function problemOf({ context, detail }: LinkRefused['refusal']): ProblemException {
  switch (context) {
    case 'dead':
      return new ProblemException('conflict', 'its interpreter has ended: restart the context');
    case 'busy':
      return new ProblemException('queue-full', 'too many runs wait for this context');
    case 'most':
      return new ProblemException('conflict', 'the sandbox has as many contexts as it may: delete one');
    case 'absent':
      return new ProblemException('unknown-runtime', 'the image has no interpreter for it', [
        { pointer: '/language', detail: detail ?? 'not there' },
      ]);
    case 'unready':
      return new ProblemException('conflict', detail);
    default:
      return new ProblemException('not-found', 'no such context');
  }
}
