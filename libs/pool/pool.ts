import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { ConfinementLayer, ZygoteConfig, ZygoteMark } from '@cordon/sentry/boot/zygote-message';
import type { PlatformProbe } from '@cordon/sentry/platform/choose';
import { Rehearsals } from './rehearsals.js';
import { Run, refusal } from './run.js';
import { SentryProcess } from './sentry-process.js';
import { sentryProgram } from './sentry-program.js';
import { Session } from './session.js';
import type {
  PoolOptions,
  PoolStats,
  RunHandle,
  RunHandlers,
  RunSpec,
  SandboxPool,
  SessionHandle,
  SessionSpec,
} from './types.js';
import { ZygoteProcess } from './zygote-process.js';

/** What tests change; the product leaves it as it is. */
export interface PoolInternals {
  /** URL of the module that exports `Sentry`. */
  readonly sentryModule?: string;
  /** Names of confinement layers to leave out. */
  readonly without?: readonly string[];
  /** A zygote older than this is renewed: its children share layout, canaries and hash seed. */
  readonly renewAfterMs?: number;
  /** After failed rehearsals, they are tried again after this long. */
  readonly rehearseAgainMs?: number;
}

const RENEW_AFTER_MS = 30 * 60_000;
/** A spare is replaced when its run has ended, or after this long: forking costs the CPU that the run wants. */
const REFILL_DELAY_MS = 25;
/** After so many failures in a row to get a Sentry ready, those who wait for one are told. */
const START_ATTEMPTS = 5;
const RESTART_PAUSE_MS = 200;
const RESTART_PAUSES_MAX = 25;
const DEFAULT_REHEARSALS = 3;
/** Host ids of children when we are root: far above what useradd or container managers hand out. */
const UID_BASE = 0x7000_0000;
const UID_RANGE = 0x1_0000;

/** Cores this process may use. */
export function allowedCores(): number[] {
  const cores: number[] = [];
  if (existsSync('/proc/self/status')) {
    const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    for (const range of list?.[1].split(',') ?? []) {
      const [first, last = first] = range.split('-').map(Number);
      for (let core = first; core <= last; core++) cores.push(core);
    }
  }
  return cores.length > 0 ? cores : Array.from({ length: availableParallelism() }, (_, core) => core);
}

export class Pool implements SandboxPool {
  /** The one that forks; null while none is ready. */
  private current: ZygoteProcess | null = null;
  /** Started and not ready. */
  private incoming: ZygoteProcess | null = null;
  /** All that live, the draining ones included. */
  private readonly zygotes = new Set<ZygoteProcess>();
  /** Forked and not ready. */
  private readonly starting = new Set<SentryProcess>();
  /** Ready, oldest first. */
  private readonly spares: SentryProcess[] = [];
  /** Given to a run and not ended. */
  private readonly busy = new Map<SentryProcess, Run>();
  /** Runs without a Sentry, oldest first. */
  private readonly queue: Run[] = [];
  readonly cores: readonly number[];
  private readonly log: (line: string) => void;
  private readonly rehearsals: Rehearsals;
  private forked = 0;
  /** Zygotes and children that died before they were ready, in a row. */
  private failures = 0;
  private everReady = false;
  private closing: Promise<void> | null = null;
  private refill: NodeJS.Timeout | null = null;
  private restart: NodeJS.Timeout | null = null;
  private platform: string;
  private foundLayers: readonly ConfinementLayer[] = [];
  private foundProbes: readonly PlatformProbe[] = [];
  private broken: string | null = null;
  private readonly firstReady: Promise<void>;
  private started!: () => void;
  private failed!: (error: Error) => void;

  constructor(
    private readonly options: PoolOptions,
    private readonly internals: PoolInternals = {},
  ) {
    this.rehearsals = new Rehearsals(options.rehearsals ?? DEFAULT_REHEARSALS, internals.rehearseAgainMs);
    this.cores = options.cores ?? allowedCores();
    this.log = options.log ?? (() => {});
    this.platform = options.platform;
    this.firstReady = new Promise((resolve, reject) => {
      this.started = resolve;
      this.failed = reject;
    });
    this.firstReady.catch(() => {});
    this.startZygote();
  }

  /** Resolves when the first spare is ready; rejects when no zygote can be started here. */
  async start(): Promise<this> {
    await this.firstReady;
    return this;
  }

  run(spec: RunSpec, handlers: RunHandlers): RunHandle {
    const run = new Run(spec, handlers, this.platform, {
      finished: (ended) => this.runFinished(ended),
      again: (lost) => {
        // Not on a spare: what killed one may have killed them all.
        this.queue.unshift(lost);
        this.replenish();
      },
    });
    const refused = this.refuses(spec);
    if (refused !== null) {
      run.abandon('error', refused);
      return run;
    }
    const spare = this.takeSpare();
    if (spare === null) {
      this.queue.push(run);
      this.replenish();
    } else {
      this.assign(run, spare);
    }
    return run;
  }

  open(spec: SessionSpec, handlers: Pick<RunHandlers, 'audit' | 'log'>): SessionHandle {
    const full: RunSpec = { ...spec, argv: [], stdin: 'empty', terminal: false, session: true };
    // Taken from the queue like any run; its frames go to the session.
    const run = this.run(full, handlers) as Run;
    const session = new Session(run);
    run.session = (type, payload) => session.receive(type, payload);
    return Object.assign(session, { endAfter: (milliseconds: number) => run.endAfter(milliseconds) });
  }

  private refuses(spec: RunSpec): string | null {
    if (this.closing !== null) return 'the pool is closed';
    if (this.broken !== null) return this.broken;
    const { name } = this.options.image;
    if (spec.image.name !== name) return `this pool runs the image ${name}, not ${spec.image.name}`;
    return refusal(spec);
  }

  stats(): PoolStats {
    return {
      spares: this.spares.length,
      running: this.busy.size,
      forked: this.forked,
      zygoteAge: this.current === null ? 0 : Date.now() - this.current.bornAt,
      platform: this.platform,
    };
  }

  /** The layers of confinement the newest zygote found. */
  layers(): readonly ConfinementLayer[] {
    return this.foundLayers;
  }

  zygoteStart(): readonly ZygoteMark[] {
    const zygote = this.current;
    return zygote === null ? [] : [{ step: 'asked for', at: zygote.askedAt }, ...(zygote.ready?.marks ?? [])];
  }

  /** What probing for a platform found, in the order tried. */
  probes(): readonly PlatformProbe[] {
    return this.foundProbes;
  }

  /** The zygote that forks now. For measurements. */
  newestZygote(): ZygoteProcess | null {
    return this.current;
  }

  /** Host process ids of the zygotes' launchers, oldest first: for tests and `doctor`. */
  zygotePids(): number[] {
    return [...this.zygotes].map(({ pid }) => pid);
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    if (this.refill !== null) clearTimeout(this.refill);
    if (this.restart !== null) clearTimeout(this.restart);
    for (const run of this.queue.splice(0)) run.abandon('canceled', 'the pool was closed');
    const running = [...this.busy.values()];
    for (const run of running) run.closed();
    await Promise.all([...this.zygotes].map((zygote) => zygote.close()));
    this.failed(new Error('the pool was closed'));
  }

  private startZygote(): void {
    if (this.incoming !== null || this.closing !== null) return;
    const program = sentryProgram(this.internals.sentryModule);
    const config: ZygoteConfig = {
      image: this.options.image,
      platform: this.platform,
      sentryModule: program.sentryModule,
      uidBase: UID_BASE,
      uidRange: UID_RANGE,
      rehearsals: this.rehearsals.next(Date.now(), this.current !== null),
      kvmExitless: this.options.kvmExitless ?? false,
      without: this.internals.without ?? [],
    };
    const zygote = new ZygoteProcess(config, program, {
      ready: (ready) => {
        this.log(`zygote ${zygote.pid} is ready`);
        this.incoming = null;
        this.rehearsals.succeeded(config.rehearsals);
        this.platform = ready.platform;
        this.foundProbes = ready.probes;
        this.foundLayers = ready.layers;
        const old = this.current;
        this.current = zygote;
        if (old !== null) this.retire(old);
        if (this.options.spares === 0) this.started();
        this.replenish();
      },
      closed: (detail) => this.zygoteClosed(zygote, detail),
      log: (line) => this.log(line),
    });
    this.incoming = zygote;
    this.zygotes.add(zygote);
  }

  private zygoteClosed(zygote: ZygoteProcess, detail: string): void {
    this.zygotes.delete(zygote);
    const wasReady = this.current === zygote;
    if (wasReady) this.current = null;
    if (this.incoming === zygote) this.incoming = null;
    if (this.closing !== null) return;
    if (wasReady) {
      this.log(`zygote ${zygote.pid} is gone: ${detail}`);
      this.startZygote();
      return;
    }
    if (zygote.retired) return;
    this.log(`zygote ${zygote.pid} did not start: ${detail}`);
    // Perhaps the rehearsal failed or hung.
    this.rehearsals.failed(zygote.rehearsals, Date.now());
    // It was to take the place of one that works.
    if (this.current !== null && zygote.rehearsals > 0) return;
    this.startFailed(`no zygote can be started: ${detail}`);
  }

  /**
   * A zygote or a child died before it was ready. Tried again with growing pauses; after some failures in a row those
   * who wait are told, and a pool that never had a Sentry gives up.
   */
  private startFailed(detail: string): void {
    this.failures++;
    if (this.failures >= START_ATTEMPTS) {
      for (const run of this.queue.splice(0)) run.abandon('error', detail);
      if (!this.everReady) {
        this.broken = detail;
        this.failed(new Error(detail));
        return;
      }
    }
    if (this.restart !== null) return;
    this.restart = setTimeout(() => {
      this.restart = null;
      this.replenish();
    }, RESTART_PAUSE_MS * Math.min(this.failures, RESTART_PAUSES_MAX));
  }

  /** It forks no more. Its spares serve until there are new ones, and it ends with its last child. */
  private retire(zygote: ZygoteProcess): void {
    zygote.retired = true;
    this.closeIfDrained(zygote);
  }

  private closeIfDrained(zygote: ZygoteProcess): void {
    if (zygote.retired && zygote.children === 0) void zygote.close();
  }

  private takeSpare(): SentryProcess | null {
    let best = -1;
    let bestLoad = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.spares.length; index++) {
      const spare = this.spares[index];
      const load = this.load(spare.cpu);
      if (load < bestLoad) {
        best = index;
        bestLoad = load;
      }
    }
    return best < 0 ? null : this.spares.splice(best, 1)[0];
  }

  /** Runs on a core. */
  private load(core: number): number {
    let load = 0;
    for (const sentry of this.busy.keys()) if (sentry.cpu === core) load++;
    return load;
  }

  private assign(run: Run, sentry: SentryProcess): void {
    this.busy.set(sentry, run);
    run.start(sentry);
    this.scheduleRefill(REFILL_DELAY_MS);
  }

  private runFinished(run: Run): void {
    const waiting = this.queue.indexOf(run);
    if (waiting >= 0) this.queue.splice(waiting, 1);
    if (this.closing === null) this.scheduleRefill(0);
  }

  private scheduleRefill(delay: number): void {
    if (delay === 0 && this.refill !== null) {
      clearTimeout(this.refill);
      this.refill = null;
    }
    this.refill ??= setTimeout(() => {
      this.refill = null;
      this.replenish();
    }, delay);
  }

  /** Forks until spares, and those that wait, are provided for. */
  private replenish(): void {
    if (this.closing !== null || this.broken !== null || this.restart !== null) return;
    const zygote = this.current;
    if (zygote === null) {
      this.startZygote();
      return;
    }
    const due = zygote.forks >= this.options.renewAfter;
    const old = Date.now() - zygote.bornAt > (this.internals.renewAfterMs ?? RENEW_AFTER_MS);
    if (due || old || this.rehearsals.due(zygote.rehearsals, Date.now())) this.startZygote();
    while (this.starting.size + this.usableSpares() < this.options.spares + this.queue.length) {
      this.forked++;
      this.starting.add(new SentryProcess(zygote, this.nextCore(), (sentry) => this.sentryChanged(sentry)));
    }
  }

  /** Spares that count: those of a retired zygote are to be replaced. */
  private usableSpares(): number {
    return this.spares.reduce((count, spare) => count + (spare.zygote.retired ? 0 : 1), 0);
  }

  /** The core with the fewest Sentries, spares included. */
  private nextCore(): number {
    let best = -1;
    let bestLoad = Number.POSITIVE_INFINITY;
    for (const core of this.cores) {
      let load = this.load(core);
      for (const sentry of this.starting) if (sentry.cpu === core) load++;
      for (const sentry of this.spares) if (sentry.cpu === core) load++;
      if (load < bestLoad) {
        best = core;
        bestLoad = load;
      }
    }
    return best;
  }

  private sentryChanged(sentry: SentryProcess): void {
    if (sentry.ended) {
      const wasStarting = this.starting.delete(sentry);
      const spare = this.spares.indexOf(sentry);
      if (spare >= 0) this.spares.splice(spare, 1);
      this.busy.delete(sentry);
      this.closeIfDrained(sentry.zygote);
      if (this.closing !== null) return;
      if (wasStarting) this.startFailed(`a Sentry ended before it was ready: ${sentry.lastDetail}`);
      else if (spare >= 0) this.scheduleRefill(0);
      return;
    }
    if (!sentry.ready || !this.starting.delete(sentry)) return;
    this.failures = 0;
    this.everReady = true;
    this.started();
    const run = this.queue.shift();
    if (run !== undefined) {
      this.assign(run, sentry);
    } else if (sentry.zygote.retired) {
      sentry.kill();
      this.scheduleRefill(0);
    } else {
      this.spares.push(sentry);
      // A new one for an old one.
      const old = this.spares.findIndex((spare) => spare.zygote.retired);
      if (old >= 0) this.spares.splice(old, 1)[0].kill();
    }
  }
}
