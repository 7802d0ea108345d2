import type { ServerResponse } from 'node:http';
import {
  CONTEXTS_MOST,
  type ContextDto,
  type CreateContext,
  type RunInContext,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import { drained, sendJson, whenClosed } from '../link-response.js';
import type { LiveSandbox } from '../sandboxes/live-sandbox.js';
import { CodeContext } from './code-context.js';
import { StartFailed } from './interpreter.js';
import { ContextRefused } from './refused.js';

/** What is asked of the contexts of a sandbox; `context` names one. */
export type ContextAsk = { readonly context?: string } & Partial<CreateContext> & Partial<RunInContext>;

/** The code contexts of one sandbox; they end with it. */
export class Contexts {
  private readonly contexts = new Map<string, CodeContext>();
  private making = 0;

  constructor(private readonly live: LiveSandbox) {}

  /** Answers one request of an API: JSON, or for `run` a line of JSON for each event. */
  async serve(action: string, ask: ContextAsk, response: ServerResponse): Promise<void> {
    try {
      if (action === 'run') await this.run(ask, response);
      else sendJson(response, 200, await this.live.use(() => this.answer(action, ask)));
    } catch (error) {
      if (!(error instanceof ContextRefused)) throw error;
      sendJson(response, error.status, { context: error.context, detail: error.detail });
    }
  }

  private async answer(action: string, ask: ContextAsk): Promise<ContextDto | { items: ContextDto[] }> {
    if (action === 'create') return this.create(ask);
    if (action === 'list') return { items: [...this.contexts.values()].map(({ dto }) => dto) };
    const context = this.find(ask);
    if (action === 'delete') {
      this.contexts.delete(context.id);
      await context.remove();
    } else if (action === 'restart') {
      await explained(context.start());
    } else if (action === 'interrupt') {
      context.interrupt();
    } else if (action !== 'get') {
      throw new ContextRefused(404, 'unknown');
    }
    return context.dto;
  }

  private find({ context }: ContextAsk): CodeContext {
    const found = this.contexts.get(context ?? '');
    if (!found) throw new ContextRefused(404, 'unknown');
    return found;
  }

  private async create({ language, cwd = WORK_DIRECTORY, env = {}, root = false }: ContextAsk): Promise<ContextDto> {
    if (language === undefined) throw new ContextRefused(404, 'unknown');
    if (this.contexts.size + this.making >= CONTEXTS_MOST) throw new ContextRefused(409, 'most');
    this.making++;
    try {
      const context = new CodeContext(this.live, { language, cwd, env, root });
      await explained(context.start());
      this.contexts.set(context.id, context);
      return context.dto;
    } finally {
      this.making--;
    }
  }

  private async run(ask: ContextAsk, response: ServerResponse): Promise<void> {
    const context = this.find(ask);
    const gone = new AbortController();
    whenClosed(response, () => gone.abort());
    const { code = '', timeoutMs, env } = ask;
    await this.live.use(() =>
      context.run(
        { code, timeoutMs, env },
        {
          // It is in, whenever its turn comes.
          accepted: () => {
            response.writeHead(200, { 'content-type': 'application/x-ndjson' });
            response.write('{}\n');
          },
          event: (event) => {
            if (!response.destroyed && !response.write(`${JSON.stringify(event)}\n`)) return drained(response);
          },
        },
        gone.signal,
      ),
    );
    response.end();
  }
}

/** What an API is told of a start that failed. */
async function explained(start: Promise<void>): Promise<void> {
  try {
    await start;
  } catch (error) {
    if (!(error instanceof StartFailed)) throw error;
    throw new ContextRefused(409, error.absent ? 'absent' : 'unready', error.message);
  }
}
