import { SANDBOX_TIMES, type SandboxDto, type StartProcess } from '@cordon/contracts';
import type { Principal } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService } from '../../executions/executions.service.js';
import { ProblemException } from '../../http/problem.js';
import { SandboxesService } from '../../sandboxes/sandboxes.service.js';
import { validateSandbox } from '../../sandboxes/validate.js';
import { E2bError } from './e2b.errors.js';
import { type E2bRecord, E2bStore } from './e2b.store.js';

/** Of envd, E2B's program inside a sandbox: it says what clients may ask of us (README). */
export const ENVD_VERSION = '0.5.7';
/** All of them are the image that there is. */
const TEMPLATES = ['base', 'code-interpreter-v1', 'code-interpreter-beta'];
const DEFAULT_TIMEOUT = 300;
const LABELS_MOST = 16;
export const HOME = '/home/user';
/** The user that E2B's clients expect, at home where they expect it. */
const PREPARE = `mkdir -p ${HOME} && chown 1000:1000 ${HOME}`;

export interface E2bSandbox {
  readonly sandbox: SandboxDto;
  readonly record: E2bRecord;
}

/** E2B's sandboxes: ours, and beside each what its clients said of it. */
@Injectable()
export class E2bService {
  readonly store: E2bStore;

  constructor(
    readonly sandboxes: SandboxesService,
    executions: ExecutionsService,
  ) {
    this.store = new E2bStore(executions.redis);
  }

  async create(principal: Principal, body: unknown): Promise<E2bSandbox> {
    const { tenant } = principal;
    const {
      templateID = 'base',
      timeout,
      metadata = {},
      envVars = {},
      autoPause,
      network,
      volumeMounts,
      mcp,
    } = fieldsOf(body);
    if (typeof templateID !== 'string' || !TEMPLATES.includes(templateID))
      throw new E2bError('not_found', `template '${String(templateID)}' not found`);
    if (autoPause === true) throw unavailable('pausing sandboxes');
    if (mcp !== undefined && mcp !== null) throw unavailable('the MCP gateway');
    if (Array.isArray(volumeMounts) && volumeMounts.length > 0) throw unavailable('volumes');
    const allowed = (network as { allowOut?: unknown[] } | undefined)?.allowOut;
    if (Array.isArray(allowed) && allowed.length > 0) throw unavailable('access to the network');
    const env = stringMap(envVars, 'envVars');
    const kept = stringMap(metadata, 'metadata');
    const id = this.sandboxes.newId();
    const open = validateSandbox(
      {
        ttlSeconds: secondsOf(timeout),
        idleSeconds: SANDBOX_TIMES.idleSeconds.maximum,
        env: { HOME, ...env, E2B_SANDBOX: 'true', E2B_SANDBOX_ID: id, E2B_TEMPLATE_ID: templateID },
        network: 'loopback',
      },
      id,
    );
    const record: E2bRecord = {
      tenant,
      templateId: templateID,
      metadata: kept,
      accessToken: this.store.newToken(id),
      envVars: env,
    };
    // Before it is there: nobody could speak with one that has no record.
    await this.store.save(id, record);
    try {
      const sandbox = await this.sandboxes.open(principal, open);
      await this.prepare(tenant, id);
      return { sandbox, record };
    } catch (error) {
      await this.store.forget(id);
      throw error;
    }
  }

  private async prepare(tenant: string, id: string): Promise<void> {
    const start: StartProcess = {
      argv: ['/bin/sh', '-c', PREPARE],
      env: {},
      cwd: '/',
      root: true,
      stdin: false,
      terminal: false,
      timeoutMs: null,
      background: false,
    };
    const gone = new AbortController().signal;
    try {
      await this.sandboxes.with(tenant, id, async (link) => {
        for await (const event of link.events(`/sandboxes/${id}/start`, start, gone))
          if (event.type === 'exit' && event.exitCode !== 0)
            throw new ProblemException('internal', 'no home directory');
      });
    } catch (error) {
      // Nobody will ever hear of it.
      await this.end(tenant, id).catch(() => undefined);
      throw error;
    }
  }

  /** One that runs. 404 for others. */
  async get(tenant: string, id: string): Promise<E2bSandbox> {
    const { sandbox } = await this.sandboxes.get(tenant, id);
    if (sandbox.state !== 'running') throw new E2bError('not_found', `sandbox "${id}" not found`);
    return { sandbox, record: await this.recordOf(tenant, sandbox) };
  }

  /** Sandboxes that our own API made are there, too; nobody has a token for their data plane. */
  private async recordOf(tenant: string, { id, labels }: SandboxDto): Promise<E2bRecord> {
    const record = await this.store.get(id);
    return record?.tenant === tenant
      ? record
      : { tenant, templateId: 'base', metadata: labels, accessToken: '', envVars: {} };
  }

  /** Those that run, oldest first. */
  async list(tenant: string): Promise<E2bSandbox[]> {
    const sandboxes = (await this.sandboxes.list(tenant)).filter(({ state }) => state === 'running').reverse();
    return Promise.all(sandboxes.map(async (sandbox) => ({ sandbox, record: await this.recordOf(tenant, sandbox) })));
  }

  async kill(tenant: string, id: string): Promise<void> {
    await this.get(tenant, id);
    await this.end(tenant, id);
  }

  private end(tenant: string, id: string): Promise<unknown> {
    return this.sandboxes.with(tenant, id, (link) => link.json(`/sandboxes/${id}/end`, {}));
  }

  /** Ends so many seconds from now. `least`: not earlier than it would. */
  async setTimeout(tenant: string, id: string, timeout: unknown, least = false): Promise<E2bSandbox> {
    const found = await this.get(tenant, id);
    const wanted = Date.now() + secondsOf(timeout) * 1000;
    const at = least ? Math.max(wanted, Date.parse(found.sandbox.expiresAt)) : wanted;
    const sandbox = await this.sandboxes.with(tenant, id, (link) =>
      link.json<SandboxDto>(`/sandboxes/${id}/extend`, { expiresAt: new Date(at).toISOString() }),
    );
    return { ...found, sandbox };
  }
}

export function unavailable(what: string): E2bError {
  return new E2bError('unimplemented', `${what} is not implemented here`);
}

function fieldsOf(body: unknown): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new E2bError('invalid_argument', 'the body must be an object');
  return body as Record<string, unknown>;
}

function secondsOf(timeout: unknown): number {
  if (timeout === undefined || timeout === null) return DEFAULT_TIMEOUT;
  const { minimum, maximum } = SANDBOX_TIMES.ttlSeconds;
  if (typeof timeout !== 'number' || !Number.isFinite(timeout) || timeout < 0 || timeout > maximum)
    throw new E2bError('invalid_argument', `timeout must be a number of seconds, at most ${maximum}`);
  return Math.max(minimum, Math.ceil(timeout));
}

function stringMap(value: unknown, name: string): Record<string, string> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : null;
  if (!entries || Array.isArray(value) || entries.some(([, text]) => typeof text !== 'string'))
    throw new E2bError('invalid_argument', `${name} must be a map of strings`);
  if (entries.length > LABELS_MOST * 16) throw new E2bError('invalid_argument', `${name} has too many entries`);
  return Object.fromEntries(entries as [string, string][]);
}
