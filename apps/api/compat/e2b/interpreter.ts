import type { IncomingMessage, ServerResponse } from 'node:http';
import { CONTEXT_LANGUAGES, type ContextDto, type ContextEvent, type ContextLanguage } from '@cordon/contracts';
import type { ContextsService } from '../../contexts/contexts.service.js';
import { closedSignal, drained } from '../../http/gone.js';
import { readBody } from './connect-protocol.js';
import type { Interpreter } from './data-plane.js';
import { E2bError, toE2bError } from './e2b.errors.js';
import { HOME } from './e2b.service.js';
import type { E2bStore } from './e2b.store.js';
import { guestPath, guestUser } from './guest-user.js';

const ALIASES: Readonly<Record<string, ContextLanguage>> = {
  js: 'javascript',
  python3: 'python',
  node: 'javascript',
  sh: 'bash',
};
/** What E2B's results have a name for. */
const FIELDS: Readonly<Record<string, string>> = {
  'text/plain': 'text',
  'text/html': 'html',
  'text/markdown': 'markdown',
  'image/svg+xml': 'svg',
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'application/pdf': 'pdf',
  'text/latex': 'latex',
  'application/javascript': 'javascript',
};

type Fields = Readonly<Record<string, unknown>>;

function languageOf(given: unknown): ContextLanguage {
  const name = given === undefined || given === null ? 'python' : String(given).toLowerCase();
  const language = ALIASES[name] ?? CONTEXT_LANGUAGES.find((one) => one === name);
  if (!language)
    throw new E2bError('invalid_argument', `Unsupported language: ${name}; there are ${CONTEXT_LANGUAGES.join(', ')}`);
  return language;
}

async function fieldsOf(request: IncomingMessage): Promise<Fields> {
  try {
    const value: unknown = JSON.parse((await readBody(request)).toString('utf8') || '{}');
    if (typeof value === 'object' && value !== null) return value as Fields;
  } catch (error) {
    if (error instanceof E2bError) throw error;
  }
  throw new E2bError('invalid_argument', 'the body must be a JSON object');
}

const shown = ({ id, language, cwd }: ContextDto): object => ({ id, language, cwd });

/** E2B's code interpreter: its server's endpoints, on the contexts that sandboxes have. */
export class CodeInterpreter implements Interpreter {
  constructor(
    private readonly contexts: ContextsService,
    private readonly store: E2bStore,
  ) {}

  async serve(
    tenant: string,
    id: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    try {
      const { pathname } = new URL(path, 'http://sandbox');
      const [, place = '', context, verb] = pathname.split('/');
      await this.answer(tenant, id, { place, context, verb, method: request.method ?? 'GET' }, request, response);
    } catch (error) {
      // Errors of this server are plain text.
      const { status, message } = toE2bError(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(message);
    }
  }

  private async answer(
    tenant: string,
    id: string,
    { place, context, verb, method }: { place: string; context?: string; verb?: string; method: string },
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const json = (body: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (place === 'health' && method === 'GET') return void response.writeHead(200).end('"OK"');
    if (place === 'execute' && method === 'POST') return this.execute(tenant, id, await fieldsOf(request), response);
    if (place !== 'contexts') throw new E2bError('not_found', 'Not Found');
    if (context === undefined || context === '') {
      if (method === 'GET') return json((await this.contexts.list(tenant, id)).map(shown));
      if (method !== 'POST') throw new E2bError('unimplemented', 'Method Not Allowed', 405);
      const { language, cwd } = await fieldsOf(request);
      return json(shown(await this.create(tenant, id, languageOf(language), cwd)));
    }
    if (verb === 'restart' && method === 'POST') await this.contexts.restart(tenant, id, context);
    else if (verb === undefined && method === 'DELETE') await this.contexts.delete(tenant, id, context);
    else throw new E2bError('not_found', 'Not Found');
    response.writeHead(200).end();
  }

  private create(tenant: string, id: string, language: ContextLanguage, cwd: unknown): Promise<ContextDto> {
    const place = cwd === undefined || cwd === null || cwd === '' ? HOME : guestPath(cwd, guestUser(''));
    return this.contexts.create(tenant, id, { language, cwd: place });
  }

  /** The context of those who name none: one a language, made when it is first needed. */
  private async defaultContext(tenant: string, id: string, language: ContextLanguage): Promise<string> {
    const known = await this.store.defaultContext(id, language);
    if (known !== null) return known;
    const made = await this.create(tenant, id, language, undefined);
    const first = await this.store.setDefaultContext(id, language, made.id);
    if (first !== made.id) await this.contexts.delete(tenant, id, made.id);
    return first;
  }

  private async execute(tenant: string, id: string, fields: Fields, response: ServerResponse): Promise<void> {
    const { code, context_id: given, language, env_vars: env } = fields;
    if (typeof code !== 'string') throw new E2bError('invalid_argument', 'code must be a string');
    if (typeof given === 'string' && language !== undefined && language !== null)
      throw new E2bError('invalid_argument', 'Only one of context_id or language can be provided');
    const context = typeof given === 'string' ? given : await this.defaultContext(tenant, id, languageOf(language));
    const gone = closedSignal(response);
    const run = { code, ...(env ? { env: env as Record<string, string> } : {}) };
    const events = await this.contexts.begin(tenant, id, context, run, gone);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    for await (const event of events) {
      for (const line of linesOf(event)) {
        if (!response.write(`${JSON.stringify(line)}\n`) && !gone.aborted) await drained(response);
      }
    }
    response.end();
  }
}

/** An event in E2B's words. */
function linesOf(event: ContextEvent): object[] {
  switch (event.type) {
    case 'stdout':
    case 'stderr':
      return [{ type: event.type, text: event.text, timestamp: new Date().toISOString() }];
    case 'result':
      return [{ type: 'result', is_main_result: event.main, ...represented(event.data) }];
    case 'error':
      return [event];
    case 'end': {
      const count = { type: 'number_of_executions', execution_count: event.executionCount };
      if (event.outcome === 'died') return [count, { type: 'unexpected_end_of_execution' }];
      return [count, { type: 'end_of_execution' }];
    }
  }
}

function represented(data: Readonly<Record<string, string>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const extra: Record<string, string> = {};
  for (const [mime, text] of Object.entries(data)) {
    const name = FIELDS[mime];
    if (name !== undefined) result[name] = text;
    else if (mime === 'application/json') result.json = parsed(text);
    else extra[mime] = text;
  }
  return Object.keys(extra).length === 0 ? result : { ...result, extra };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
