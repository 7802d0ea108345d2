import type { ServerResponse } from 'node:http';
import {
  CONTEXT_LANGUAGES,
  type ContextDto,
  type ContextEvent,
  type ContextLanguage,
  REQUEST_LIMITS,
} from '@cordon/contracts';
import type { ContextsService } from '../../contexts/contexts.service.js';
import { closedSignal } from '../../http/gone.js';
import { fieldsOf } from './create-body.js';
import { invalid, OpenSandboxError, toOpenSandboxError } from './opensandbox.errors.js';
import type { OpenSandboxStore } from './opensandbox.store.js';
import { EventStream } from './wire.js';

function languageOf(given: unknown): ContextLanguage {
  const language = CONTEXT_LANGUAGES.find((one) => one === given);
  if (language) return language;
  if (typeof given !== 'string' || given === '') throw invalid('language must be a string');
  throw new OpenSandboxError(400, 'NOT_SUPPORTED', `language ${given}: there are ${CONTEXT_LANGUAGES.join(', ')}`);
}

const shown = ({ id, language }: ContextDto): object => ({ id, language });

/** execd's code: contexts that sandboxes have. */
export class ExecdCode {
  constructor(
    private readonly contexts: ContextsService,
    private readonly store: OpenSandboxStore,
    private readonly tenant: string,
    private readonly id: string,
  ) {}

  async create(body: unknown): Promise<object> {
    return shown(await this.contexts.create(this.tenant, this.id, { language: languageOf(fieldsOf(body).language) }));
  }

  async list(language: string | null): Promise<object> {
    return (await this.all()).filter((one) => language === null || one.language === language).map(shown);
  }

  /** Without those that are sessions. */
  private async all(): Promise<ContextDto[]> {
    const [all, sessions] = await Promise.all([this.contexts.list(this.tenant, this.id), this.store.sessions(this.id)]);
    return all.filter(({ id }) => !sessions.has(id));
  }

  async get(context: string): Promise<object> {
    return shown(await this.known(() => this.contexts.get(this.tenant, this.id, context), context));
  }

  async delete(context: string): Promise<object> {
    await this.known(() => this.contexts.delete(this.tenant, this.id, context), context);
    return {};
  }

  async deleteAll(given: string | null): Promise<object> {
    const language = languageOf(given);
    const all = await this.all();
    for (const { id } of all.filter((one) => one.language === language)) await this.delete(id);
    return {};
  }

  async interrupt(context: string | null): Promise<object> {
    if (context === null) throw new OpenSandboxError(400, 'MISSING_QUERY', "missing query parameter 'id'");
    await this.known(() => this.contexts.interrupt(this.tenant, this.id, context), context);
    return {};
  }

  async run(body: unknown, response: ServerResponse): Promise<void> {
    const { code, context } = fieldsOf(body);
    if (typeof code !== 'string' || code === '') throw invalid('code must be a string, not empty');
    if (code.length > REQUEST_LIMITS.sourceBytes)
      throw invalid(`code has over ${REQUEST_LIMITS.sourceBytes} characters`);
    const { id, language } = fieldsOf(context ?? {}, 'context');
    if (id !== undefined && id !== null && typeof id !== 'string') throw invalid('context.id must be a string');
    const where = id ? id : await this.defaultContext(languageOf(language ?? 'python'));
    const gone = closedSignal(response);
    const events = await this.known(() => this.contexts.begin(this.tenant, this.id, where, { code }, gone), where);
    const stream = new EventStream(response);
    const began = Date.now();
    await stream.send({ type: 'init', text: where });
    for await (const event of events) for (const told of toldOf(event, Date.now() - began)) await stream.send(told);
    stream.end();
  }

  /** One of each language, made when it is first needed. */
  private async defaultContext(language: ContextLanguage): Promise<string> {
    const known = await this.store.defaultContext(this.id, language);
    if (known !== null) {
      const there = await this.contexts.get(this.tenant, this.id, known).catch((error: unknown) => {
        if (toOpenSandboxError(error).status !== 404) throw error;
        return null;
      });
      if (there && there.state !== 'dead') return known;
      await this.store.dropContext(this.id, language, known);
    }
    const { id } = await this.contexts.create(this.tenant, this.id, { language });
    const kept = (await this.store.defaultContext(this.id, language, id)) ?? id;
    // Another request was first.
    if (kept !== id) await this.contexts.delete(this.tenant, this.id, id);
    return kept;
  }

  private async known<T>(work: () => Promise<T>, context: string): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { status, code } = toOpenSandboxError(error);
      if (status !== 404 || code === 'DOCKER::SANDBOX_NOT_FOUND') throw error;
      throw new OpenSandboxError(404, 'CONTEXT_NOT_FOUND', `context ${context} not found`);
    }
  }
}

function toldOf(event: ContextEvent, elapsed: number): object[] {
  switch (event.type) {
    case 'stdout':
    case 'stderr':
      return [{ type: event.type, text: event.text }];
    case 'result':
      return [{ type: 'result', results: event.data }];
    case 'error': {
      const { name, value, traceback } = event;
      return [{ type: 'error', error: { ename: name, evalue: value, traceback: traceback.split('\n') } }];
    }
    case 'end': {
      const count = { type: 'execution_count', execution_count: event.executionCount };
      if (event.outcome === 'ok') return [count, { type: 'execution_complete', execution_time: elapsed }];
      return [count];
    }
  }
}
