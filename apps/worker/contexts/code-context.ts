import { randomBytes } from 'node:crypto';
import {
  CONTEXT_QUEUE_MOST,
  type ContextDto,
  type ContextEvent,
  type ContextOutcome,
  type RunInContext,
} from '@cordon/contracts';
import type { LiveSandbox } from '../sandboxes/live-sandbox.js';
import { DRIVERS } from './drivers.js';
import { Interpreter, type Place } from './interpreter.js';
import { ContextRefused } from './refused.js';
import type { DriverEvent } from './wire.js';

/** Code that a timeout has interrupted is killed after so long, and with it its context. */
const GRACE_MS = 2_000;
const AGAIN_MS = 250;
/** Characters printed while nothing ran: the next run begins with them. */
const BETWEEN_MOST = 65_536;

/** 128 and SIGINT. */
const INTERRUPTED_STATUS = 130;

type ContextEnd = Extract<ContextEvent, { type: 'end' }>;

export interface Follower {
  /** It has a place in the queue. */
  accepted(): void;
  /** A promise holds the code back until it settles. */
  event(event: ContextEvent): void | Promise<void>;
}

interface Run {
  readonly id: number;
  readonly request: RunInContext;
  readonly follower: Follower;
  readonly done: () => void;
  timedOut: boolean;
  /** Its code can be interrupted; before that, an interrupt is lost. */
  begun: boolean;
  /** An interrupt came before. */
  interrupted: boolean;
  timers: NodeJS.Timeout[];
}

/** One code context: an interpreter, and runs one after the other. */
export class CodeContext {
  readonly id = `ctx_${randomBytes(8).toString('hex')}`;
  private readonly createdAt = new Date().toISOString();
  private interpreter: Interpreter | null = null;
  private executionCount = 0;
  private current: Run | null = null;
  private readonly waiting: Run[] = [];
  private between: ContextEvent[] = [];
  private betweenSize = 0;
  private nextRun = 1;
  private removed = false;
  private starting: Promise<void> | null = null;

  constructor(
    private readonly live: LiveSandbox,
    private readonly place: Place,
  ) {}

  get dto(): ContextDto {
    const { id, executionCount, createdAt } = this;
    const { language, cwd } = this.place;
    const state = this.interpreter === null ? 'dead' : this.current === null ? 'idle' : 'busy';
    return { id, language, cwd, state, executionCount, waiting: this.waiting.length, createdAt };
  }

  /** Begins, or begins anew: nothing is left of what it knew. Rejects as Interpreter.start. */
  async start(): Promise<void> {
    // Two at once are one.
    this.starting ??= this.startOnce().finally(() => {
      this.starting = null;
    });
    await this.starting;
  }

  private async startOnce(): Promise<void> {
    await this.stop('the context was restarted');
    let started: Interpreter | null = null;
    started = await Interpreter.start(this.live, this.place, {
      event: (event) => (this.interpreter === started ? this.event(event) : undefined),
      ended: (how, exitCode) => (this.interpreter === started ? this.died(how, exitCode) : undefined),
    });
    if (this.removed) return started.kill();
    this.executionCount = 0;
    this.between = [];
    this.betweenSize = 0;
    this.interpreter = started;
  }

  /** Ends the interpreter; runs under way end with it. */
  private async stop(why: string): Promise<void> {
    const { interpreter } = this;
    interpreter?.kill();
    if (interpreter) await this.died(why, null);
  }

  async remove(): Promise<void> {
    this.removed = true;
    await this.stop('the context was deleted');
  }

  interrupt(): void {
    if (this.current !== null) this.interruptRun(this.current);
  }

  /** Runs code when its turn comes; resolves after its `end`, or when `gone` has taken it back. Throws ContextRefused. */
  async run(request: RunInContext, follower: Follower, gone: AbortSignal): Promise<void> {
    if (this.interpreter === null) throw new ContextRefused(409, 'dead');
    if (this.waiting.length >= CONTEXT_QUEUE_MOST) throw new ContextRefused(503, 'busy');
    follower.accepted();
    await new Promise<void>((done) => {
      const run: Run = {
        id: this.nextRun++,
        request,
        follower,
        done,
        timedOut: false,
        begun: false,
        interrupted: false,
        timers: [],
      };
      gone.addEventListener('abort', () => this.takeBack(run), { once: true });
      this.waiting.push(run);
      if (gone.aborted) return this.takeBack(run);
      this.advance();
    });
  }

  private advance(): void {
    const { interpreter } = this;
    if (this.current !== null || interpreter === null) return;
    const run = this.waiting.shift();
    if (run === undefined) return;
    this.current = run;
    for (const event of this.between.splice(0)) void run.follower.event(event);
    this.betweenSize = 0;
    const { code, env, timeoutMs } = run.request;
    if (timeoutMs !== undefined) run.timers.push(setTimeout(() => this.timeOut(run), timeoutMs));
    interpreter.run({ id: run.id, code, env: env ?? {} });
  }

  private timeOut(run: Run): void {
    run.timedOut = true;
    this.press(run);
  }

  /** Its client has left. */
  private takeBack(run: Run): void {
    const at = this.waiting.indexOf(run);
    if (at >= 0) {
      this.waiting.splice(at, 1);
      run.done();
    } else if (this.current === run) {
      this.press(run);
    }
  }

  private interruptRun(run: Run): void {
    run.interrupted = true;
    if (run.begun) this.interpreter?.interrupt();
  }

  private press(run: Run): void {
    const { interpreter } = this;
    this.interruptRun(run);
    run.timers.push(setTimeout(() => interpreter?.kill(), GRACE_MS));
    if (DRIVERS[this.place.language].interruptLost)
      run.timers.push(setInterval(() => this.interruptRun(run), AGAIN_MS));
  }

  private async event(event: DriverEvent): Promise<void> {
    const run = this.current;
    if (event.type === 'ready') return;
    if (event.type === 'begun') {
      if (run === null) return;
      run.begun = true;
      if (run.interrupted) this.interpreter?.interrupt();
      return;
    }
    if (run === null) {
      if (event.type === 'end') return;
      this.betweenSize += event.type === 'stdout' || event.type === 'stderr' ? event.text.length : 256;
      if (event.type !== 'result' && this.betweenSize <= BETWEEN_MOST) this.between.push(event);
      return;
    }
    if (event.type !== 'end') return run.follower.event(event);
    this.executionCount = event.executionCount;
    await this.finish(run, { ...event, outcome: outcomeOf(run, event) });
    this.current = null;
    this.advance();
  }

  private async finish(run: Run, end: ContextEvent): Promise<void> {
    for (const timer of run.timers) clearTimeout(timer);
    await run.follower.event(end);
    run.done();
  }

  private async died(how: string, exitCode: number | null): Promise<void> {
    this.interpreter = null;
    const { executionCount } = this;
    const current = this.current;
    const runs = [...(current ? [current] : []), ...this.waiting.splice(0)];
    this.current = null;
    for (const run of runs) {
      // What waited has no share in how it ended.
      void run.follower.event({ type: 'error', name: 'ContextDied', value: how, traceback: '' });
      await this.finish(run, {
        type: 'end',
        executionCount,
        outcome: run.timedOut ? 'timed_out' : 'died',
        exitCode: run === current ? exitCode : null,
      });
    }
  }
}

/** A shell tells only with which status its code ended: an interrupted one as if SIGINT had killed it. */
function outcomeOf(run: Run, { outcome, exitCode }: ContextEnd): ContextOutcome {
  if (run.timedOut) return 'timed_out';
  return run.interrupted && exitCode === INTERRUPTED_STATUS ? 'interrupted' : outcome;
}
