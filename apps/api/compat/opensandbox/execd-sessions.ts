import type { ServerResponse } from 'node:http';
import { type ContextEvent, REQUEST_LIMITS, WORK_DIRECTORY } from '@cordon/contracts';
import type { ContextsService } from '../../contexts/contexts.service.js';
import { closedSignal } from '../../http/gone.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { fieldsOf } from './create-body.js';
import { failed, Lines, TIMEOUT_MOST } from './execd-commands.js';
import { guestPath } from './guest-path.js';
import { invalid, OpenSandboxError, toOpenSandboxError } from './opensandbox.errors.js';
import type { OpenSandboxStore } from './opensandbox.store.js';
import { EventStream } from './wire.js';

type End = Extract<ContextEvent, { type: 'end' }>;

const pathOf = (cwd: unknown): string | null =>
  cwd === undefined || cwd === null || cwd === '' ? null : guestPath(cwd);

/** execd's bash sessions: contexts for bash, as root of the sandbox like its commands. */
export class ExecdSessions {
  constructor(
    private readonly contexts: ContextsService,
    private readonly store: OpenSandboxStore,
    private readonly link: WorkerLink,
    private readonly tenant: string,
    private readonly id: string,
  ) {}

  async create(body: unknown): Promise<object> {
    const cwd = pathOf(fieldsOf(body ?? {}).cwd) ?? WORK_DIRECTORY;
    const made = await this.contexts.create(this.tenant, this.id, { language: 'bash', cwd, root: true });
    await this.store.saveSession(this.id, made.id);
    return { session_id: made.id };
  }

  async delete(session: string): Promise<object> {
    await this.found(session);
    await this.known(session, () => this.contexts.delete(this.tenant, this.id, session));
    await this.store.forgetSession(this.id, session);
    return {};
  }

  /** Tells what comes of a command, to its end. A client that leaves interrupts it. */
  async run(session: string, body: unknown, response: ServerResponse): Promise<void> {
    const { command, cwd, timeout } = fieldsOf(body);
    if (typeof command !== 'string' || command.trim() === '') throw invalid('command must be a string, not empty');
    if (command.length > REQUEST_LIMITS.sourceBytes)
      throw invalid(`command has over ${REQUEST_LIMITS.sourceBytes} characters`);
    if (
      timeout !== undefined &&
      timeout !== null &&
      !(Number.isInteger(timeout) && Number(timeout) >= 1 && Number(timeout) <= TIMEOUT_MOST)
    )
      throw invalid(`timeout must be 1 to ${TIMEOUT_MOST} ms`);
    await this.found(session);
    const place = pathOf(cwd);
    // One that is not there is refused before anything runs.
    if (place !== null) await this.link.ask(this.id, { op: 'list', path: place, offset: 0, root: true });
    const code = place === null ? command : `builtin cd -- ${quote(place)}\n${command}`;
    const run = { code, ...(timeout ? { timeoutMs: Number(timeout) } : {}) };
    const gone = closedSignal(response);
    const events = await this.known(session, () => this.contexts.begin(this.tenant, this.id, session, run, gone));
    await tell(new EventStream(response), session, events);
  }

  private async found(session: string): Promise<void> {
    if (!(await this.store.sessions(this.id)).has(session)) throw noSession(session);
  }

  private async known<T>(session: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { status, code } = toOpenSandboxError(error);
      if (status === 404 && code !== 'DOCKER::SANDBOX_NOT_FOUND') throw noSession(session);
      if (status === 409) throw new OpenSandboxError(404, 'CONTEXT_NOT_FOUND', `session ${session} has ended`);
      throw error;
    }
  }
}

async function tell(stream: EventStream, session: string, events: AsyncIterable<ContextEvent>): Promise<void> {
  const began = Date.now();
  const lines = { stdout: new Lines(), stderr: new Lines() };
  const print = async (type: 'stdout' | 'stderr', texts: readonly string[]): Promise<void> => {
    for (const text of texts) await stream.send({ type, text });
  };
  await stream.send({ type: 'init', text: session });
  for await (const event of events) {
    if (event.type === 'stdout' || event.type === 'stderr')
      await print(event.type, lines[event.type].push({ data: event.text, encoding: 'utf8' }));
    if (event.type !== 'end') continue;
    for (const type of ['stdout', 'stderr'] as const) await print(type, lines[type].rest());
    await stream.send(endOf(event, Date.now() - began));
  }
  stream.end();
}

function endOf({ outcome, exitCode }: End, elapsed: number): object {
  if (outcome === 'ok') return { type: 'execution_complete', execution_time: elapsed };
  if (outcome === 'timed_out') return failed('-1', 'timeout: signal: killed');
  const status = exitCode ?? -1;
  return failed(
    String(status),
    outcome === 'died' ? `the session has ended, exit status ${status}` : `exit status ${status}`,
  );
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

const noSession = (session: string): OpenSandboxError =>
  new OpenSandboxError(404, 'CONTEXT_NOT_FOUND', `session ${session} not found`);
