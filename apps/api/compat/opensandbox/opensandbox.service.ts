import { SANDBOX_TIMES, type SandboxDto, type StartProcess, WORK_DIRECTORY } from '@cordon/contracts';
import type { Principal } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService } from '../../executions/executions.service.js';
import { SandboxesService } from '../../sandboxes/sandboxes.service.js';
import { validateSandbox } from '../../sandboxes/validate.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { type Wanted, wantedOf } from './create-body.js';
import { invalid, noSandbox, OpenSandboxError, toOpenSandboxError } from './opensandbox.errors.js';
import { type OpenSandboxRecord, OpenSandboxStore } from './opensandbox.store.js';

/** Keeps a container alive, and does nothing else: sandboxes live without it. */
const IDLE = JSON.stringify(['tail', '-f', '/dev/null']);

export interface Found {
  readonly sandbox: SandboxDto;
  readonly record: OpenSandboxRecord;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Commands, like execd's own, are root's unless they say otherwise: root of the sandbox only. */
export function startOf(argv: readonly string[], more: Partial<StartProcess> = {}): StartProcess {
  return {
    argv: [...argv],
    env: {},
    cwd: WORK_DIRECTORY,
    root: true,
    stdin: false,
    terminal: false,
    timeoutMs: null,
    background: false,
    ...more,
  };
}

/** OpenSandbox's sandboxes: ours, and beside each what its clients said of it. */
@Injectable()
export class OpenSandboxService {
  readonly store: OpenSandboxStore;

  constructor(
    readonly sandboxes: SandboxesService,
    executions: ExecutionsService,
  ) {
    this.store = new OpenSandboxStore(executions.redis);
  }

  async create(principal: Principal, body: unknown): Promise<Found> {
    const { tenant } = principal;
    const wanted = wantedOf(body);
    const { image, entrypoint, metadata, extensions, platform } = wanted;
    const id = this.sandboxes.newId();
    const open = validateSandbox(
      {
        ttlSeconds: wanted.ttlSeconds,
        idleSeconds: SANDBOX_TIMES.idleSeconds.maximum,
        limits: { memoryBytes: wanted.memoryBytes },
        env: { HOME: '/root', ...wanted.env },
        network: 'loopback',
      },
      id,
    );
    const accessToken = this.store.newToken();
    const record: OpenSandboxRecord = { tenant, image, entrypoint, extensions, platform, accessToken };
    // Before it is there: nobody could speak with one that has no record.
    await this.store.save(id, record, metadata);
    try {
      const sandbox = await this.sandboxes.open(principal, open);
      await this.enter(tenant, id, wanted);
      return { sandbox, record, metadata };
    } catch (error) {
      await this.store.forget(id);
      throw error;
    }
  }

  /** Starts what the sandbox is for. One that cannot be started leaves no sandbox behind. */
  private async enter(tenant: string, id: string, { entrypoint }: Wanted): Promise<void> {
    if (JSON.stringify(entrypoint) === IDLE) return;
    const start = startOf(entrypoint, { background: true });
    try {
      await this.sandboxes.with(tenant, id, async (link) => {
        for await (const _started of link.events(`/sandboxes/${id}/start`, start, new AbortController().signal)) break;
      });
    } catch (error) {
      await this.end(tenant, id);
      const { status, message } = toOpenSandboxError(error);
      if (status >= 500) throw error;
      throw new OpenSandboxError(400, 'DOCKER::INVALID_ENTRYPOINT', `entrypoint: ${message}`);
    }
  }

  private end(tenant: string, id: string): Promise<unknown> {
    return this.sandboxes.with(tenant, id, (link) => link.json(`/sandboxes/${id}/end`, {}));
  }

  /** Running ones, and those that ended by themselves. 404 for others and for what OpenSandbox's clients did not make. */
  async get(tenant: string, id: string): Promise<Found> {
    const record = await this.store.get(id);
    if (record?.tenant !== tenant) throw noSandbox(id);
    const { sandbox } = await this.sandboxes.get(tenant, id);
    if (sandbox.endReason === 'deleted') throw noSandbox(id);
    return { sandbox, record, metadata: await this.store.metadata(id) };
  }

  async running(tenant: string, id: string): Promise<Found> {
    const found = await this.get(tenant, id);
    if (found.sandbox.state !== 'running') throw noSandbox(id);
    return found;
  }

  /** Newest first. */
  async list(tenant: string): Promise<Found[]> {
    const found = await Promise.all(
      (await this.sandboxes.list(tenant)).map(async (sandbox) => {
        if (sandbox.endReason === 'deleted') return null;
        const record = await this.store.get(sandbox.id);
        if (record?.tenant !== tenant) return null;
        return { sandbox, record, metadata: await this.store.metadata(sandbox.id) };
      }),
    );
    return found.filter((one): one is Found => one !== null);
  }

  async kill(tenant: string, id: string): Promise<void> {
    await this.running(tenant, id);
    await this.end(tenant, id);
  }

  async patch(tenant: string, id: string, patch: Readonly<Record<string, string | null>>): Promise<Found> {
    await this.running(tenant, id);
    await this.store.patch(id, patch);
    return this.running(tenant, id);
  }

  async renew(tenant: string, id: string, expiresAt: unknown): Promise<SandboxDto> {
    const { sandbox } = await this.running(tenant, id);
    const at = typeof expiresAt === 'string' ? Date.parse(expiresAt) : Number.NaN;
    if (Number.isNaN(at)) throw invalid('expiresAt must be a time (RFC 3339)');
    const latest = Date.now() + SANDBOX_TIMES.ttlSeconds.maximum * 1000;
    if (at <= Date.now() || at > latest)
      throw new OpenSandboxError(
        400,
        'DOCKER::INVALID_EXPIRATION',
        `expiresAt must be in the future, at most ${SANDBOX_TIMES.ttlSeconds.maximum} s from now`,
      );
    if (at < Date.parse(sandbox.expiresAt))
      throw new OpenSandboxError(409, 'DOCKER::EXPIRATION_NOT_EXTENDED', 'expiresAt must be later than it is');
    return this.sandboxes.with(tenant, id, (link: WorkerLink) =>
      link.json<SandboxDto>(`/sandboxes/${id}/extend`, { expiresAt: new Date(at).toISOString() }),
    );
  }
}
