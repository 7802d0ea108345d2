import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { OpenSandbox, SandboxDto, SandboxEnd } from '@cordon/contracts';
import { type Principal, type SandboxRecord, SandboxStore, type WorkerInfo } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService } from '../executions/executions.service.js';
import { noPlatform } from '../executions/platform.js';
import { ProblemException, RETRY_SECONDS } from '../http/problem.js';
import { LinkBroken, LinkRefused, WorkerLink } from './worker-link.js';

const ID = /^sbx_[a-z0-9]{24}$/;
/** Where workers are is looked up this often at most. */
const WORKER_TTL_MS = 1_000;
/** How long a worker that broke off may take to answer whether it is there at all. */
const STRAY_MS = 2_000;

function newId(): string {
  let id = '';
  while (id.length < 24) id += BigInt(`0x${randomBytes(20).toString('hex')}`).toString(36);
  return `sbx_${id.slice(0, 24)}`;
}

const ENDED: Readonly<Record<SandboxEnd | 'unknown', string>> = {
  deleted: 'it was deleted',
  expired: 'its time was over',
  idle: 'nothing was asked of it for its idle time',
  cpu_exceeded: 'its processor time was used up',
  worker_lost: 'the worker that kept it was lost, and what was in it',
  error: 'its Sentry failed',
  unknown: 'its worker does not know it any more',
};

/** Finds the worker that keeps a sandbox, and says what became of those that ended. */
@Injectable()
export class SandboxesService {
  private readonly store: SandboxStore;
  private readonly workers = new Map<string, { at: number; info: Promise<WorkerInfo | null> }>();

  constructor(private readonly executions: ExecutionsService) {
    this.store = new SandboxStore(executions.redis);
  }

  newId(): string {
    return newId();
  }

  /** On the worker that has room, in a place that the key has free. Throws ProblemException: 429, 503. */
  async open(principal: Principal, open: OpenSandbox): Promise<SandboxDto> {
    const { keyId, limits } = principal;
    const { places, registry } = this.executions;
    const { id } = open.sandbox;
    if (!(await places.claim(keyId, id, limits.sandboxes, await registry.settled())))
      throw new ProblemException('sandbox-limit', `limits.sandboxes of this key is ${limits.sandboxes}: end one first`);
    try {
      return await this.openAnywhere(principal, open);
    } catch (error) {
      // Where Redis does not answer, it lapses. What a worker has all the same it will say.
      await places.release(keyId, id).catch(() => undefined);
      throw error;
    }
  }

  /** Workers in random order. */
  private async openAnywhere({ tenant, keyId }: Principal, open: OpenSandbox): Promise<SandboxDto> {
    const all = await this.executions.registry.workers();
    const { platform } = open.sandbox;
    const fitting = platform === 'auto' ? all : all.filter(({ platforms }) => platforms.includes(platform));
    if (platform !== 'auto' && fitting.length === 0) throw noPlatform(platform, all);
    const workers = shuffled(fitting);
    for (const worker of workers) {
      try {
        return await new WorkerLink(worker.link).json<SandboxDto>(`/sandboxes/${open.sandbox.id}/open`, {
          tenant,
          keyId,
          ...open,
        });
      } catch (error) {
        if (!(error instanceof LinkBroken || (error instanceof LinkRefused && error.refusal.full))) throw error;
        if (error instanceof LinkBroken && !error.shut) await this.endStray(worker, open.sandbox.id);
      }
    }
    const why = workers.length === 0 ? 'no worker is there' : 'no worker has room';
    throw new ProblemException('unavailable', why, undefined, RETRY_SECONDS);
  }

  /** A worker that did not come to answer may have it all the same: there is to be one of an id, and one place taken for it. */
  private async endStray(worker: WorkerInfo, id: string): Promise<void> {
    const patience = AbortSignal.timeout(STRAY_MS);
    await new WorkerLink(worker.link).json(`/sandboxes/${id}/end`, {}, patience).catch(() => undefined);
  }

  async list(tenant: string): Promise<SandboxDto[]> {
    const records = await this.store.list(tenant);
    return Promise.all(records.map(async (record) => (await this.current(record)).sandbox));
  }

  /** 404 for what is not there and for what is another tenant's. */
  async get(tenant: string, id: string): Promise<SandboxRecord> {
    const record = ID.test(id) ? await this.store.get(id) : null;
    if (record?.tenant !== tenant) throw new ProblemException('not-found', 'no such sandbox');
    return this.current(record);
  }

  /** Asks the worker that keeps it. Throws ProblemException: 404, 410 when it has ended, 409 when the sandbox refuses. */
  async with<T>(tenant: string, id: string, work: (link: WorkerLink) => Promise<T>): Promise<T> {
    const record = await this.get(tenant, id);
    const { sandbox } = record;
    if (sandbox.state === 'ended') throw ended(sandbox.endReason ?? 'unknown');
    try {
      return await work(await this.link(record));
    } catch (error) {
      throw await this.explained(record, error);
    }
  }

  /** A connection to a port of its loopback. Throws as `with`; 502 when nobody listens there. */
  async dial(tenant: string, id: string, port: number): Promise<Duplex> {
    try {
      return await this.with(tenant, id, (link) => link.dial(id, port));
    } catch (error) {
      if (error instanceof ProblemException && error.problem.type.endsWith(':sandbox-refused'))
        throw new ProblemException('port-unreachable', `port ${port}: ${error.problem.detail}`);
      throw error;
    }
  }

  /** What a failure of the link means to a client. */
  private async explained(record: SandboxRecord, error: unknown): Promise<unknown> {
    if (error instanceof LinkBroken) {
      if (!error.shut) return new ProblemException('unavailable', 'the connection to its worker broke');
      // It ends for its owner, whatever the registry still says.
      const lost = await this.finish(record, 'worker_lost');
      return ended(lost.sandbox.endReason ?? 'worker_lost');
    }
    if (!(error instanceof LinkRefused)) return error;
    const { errno, gone, process } = error.refusal;
    if (errno !== undefined) return new ProblemException('sandbox-refused', errno);
    if (process !== undefined) return new ProblemException('not-found', 'no such process');
    if (gone !== undefined) {
      const known = gone === 'unknown' ? (await this.store.get(record.sandbox.id))?.sandbox.endReason : gone;
      return ended(known ?? 'unknown');
    }
    return error;
  }

  private async link({ worker }: SandboxRecord): Promise<WorkerLink> {
    const info = await this.worker(worker);
    if (info === null) throw new LinkBroken('not in the registry', await this.executions.registry.settled());
    return new WorkerLink(info.link);
  }

  private worker(id: string): Promise<WorkerInfo | null> {
    const known = this.workers.get(id);
    if (known && Date.now() - known.at < WORKER_TTL_MS) return known.info;
    const info = this.executions.registry.worker(id);
    info.catch(() => this.workers.delete(id));
    this.workers.set(id, { at: Date.now(), info });
    return info;
  }

  /** A record that says `running` of a worker that is gone is out of date. */
  private async current(record: SandboxRecord): Promise<SandboxRecord> {
    if (record.sandbox.state === 'ended' || (await this.worker(record.worker)) !== null) return record;
    if (!(await this.executions.registry.settled())) return record;
    return this.finish(record, 'worker_lost');
  }

  private async finish(record: SandboxRecord, reason: SandboxEnd): Promise<SandboxRecord> {
    const latest = (await this.store.get(record.sandbox.id)) ?? record;
    if (latest.sandbox.state === 'ended') return latest;
    const over: SandboxRecord = { ...latest, sandbox: { ...latest.sandbox, state: 'ended', endReason: reason } };
    await this.store.save(over);
    return over;
  }
}

function ended(reason: SandboxEnd | 'unknown'): ProblemException {
  return new ProblemException('sandbox-ended', ENDED[reason]);
}

function shuffled<T>(items: readonly T[]): T[] {
  const mixed = [...items];
  for (let index = mixed.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [mixed[index], mixed[other]] = [mixed[other], mixed[index]];
  }
  return mixed;
}
