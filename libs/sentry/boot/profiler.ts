import { SYSCALL_NAMES } from '../abi/syscall-numbers.js';
import type { Kernel } from '../kernel/kernel.js';
import { host } from '../platform/host.js';
import { countHostCalls, type HostCallTally } from '../platform/host-calls.js';
import { type Context, type Nanoseconds, type Platform, Reg, Trap } from '../platform/platform.js';
import type { SentryProfile, Tally } from './boot-message.js';

/** Readings that tell what one costs. */
const CLOCK_READINGS = 256;

class Account {
  count = 0;
  time: Nanoseconds = 0;

  tally(): Tally {
    return { count: this.count, time: this.time };
  }
}

/**
 * Where a guest's life goes. The clock is read on both sides of `Platform.next`; what lies between two waits is the Sentry's work and goes
 * to the account of the trap that came, and of each call that is tried again meanwhile. It puts itself around the platform, the
 * handlers and the loader of one kernel: a run that is not measured has none of it.
 */
export class Profiler {
  private readonly now = host.now;
  private readonly start = new Account();
  private readonly faults = new Account();
  private readonly exceptions = new Account();
  private readonly wakes = new Account();
  private readonly loads = new Account();
  private readonly calls = new Map<number, Account>();
  private readonly hostCalls: readonly HostCallTally[];
  private readonly clock: Nanoseconds;
  private guest: Nanoseconds = 0;
  private waiting: Nanoseconds = 0;
  /** Whose the present work is, since when. */
  private account = this.start;
  private since: Nanoseconds;

  /** Precondition: nothing of the run has been done yet. */
  constructor(private readonly platform: Platform) {
    const before = this.now();
    for (let reading = 1; reading < CLOCK_READINGS; reading++) this.now();
    this.since = this.now();
    this.clock = (this.since - before) / CLOCK_READINGS;
    this.hostCalls = countHostCalls(platform.name, this.now);
  }

  /** Precondition: the kernel is attached and has not run. */
  observe(kernel: Kernel): void {
    this.watchWaits(kernel);
    kernel.wrap(
      (number, inner) => (task, args) => {
        this.work(this.callAccount(number));
        return inner(task, args);
      },
      (inner) => (request) => {
        const start = this.now();
        const program = inner(request);
        this.loads.count++;
        this.loads.time += this.now() - start;
        return program;
      },
    );
  }

  private watchWaits(kernel: Kernel): void {
    const { platform } = this;
    const next = platform.next.bind(platform);
    platform.next = (deadline) => {
      const running = kernel.runningTasks > 0;
      const left = this.now();
      this.account.time += left - this.since;
      const context = next(deadline);
      this.since = this.now();
      if (running) this.guest += this.since - left;
      else this.waiting += this.since - left;
      this.account = this.accountOf(context);
      this.account.count++;
      return context;
    };
  }

  private accountOf(context: Context | null): Account {
    if (context === null) return this.wakes;
    if (context.trap === Trap.Fault) return this.faults;
    if (context.trap === Trap.Syscall) return this.callAccount(context.registersLow[2 * Reg.ORIG_RAX] | 0);
    return this.exceptions;
  }

  private callAccount(number: number): Account {
    // A guest may call any number: what has no name shares an account.
    const known = SYSCALL_NAMES[number] === undefined ? -1 : number;
    let account = this.calls.get(known);
    if (account === undefined) {
      account = new Account();
      this.calls.set(known, account);
    }
    return account;
  }

  private work(account: Account): void {
    if (account === this.account) return;
    const now = this.now();
    this.account.time += now - this.since;
    this.since = now;
    this.account = account;
  }

  /** Closes the books. */
  finish(): SentryProfile {
    this.work(new Account());
    const calls = [...this.calls].map(([number, account]) => ({
      name: SYSCALL_NAMES[number] ?? 'unknown',
      ...account.tally(),
    }));
    const accounts = [this.start, this.faults, this.exceptions, this.wakes, ...this.calls.values()];
    return {
      clock: this.clock,
      guest: this.guest,
      guestCpu: this.platform.cpuTime(),
      waiting: this.waiting,
      sentry: accounts.reduce((sum, { time }) => sum + time, 0),
      start: this.start.time,
      faults: this.faults.tally(),
      exceptions: this.exceptions.tally(),
      wakes: this.wakes.tally(),
      calls: calls.sort(dearest),
      loads: this.loads.tally(),
      hostCalls: this.hostCalls
        .filter(({ count }) => count > 0)
        .map((tally) => ({ ...tally }))
        .sort(dearest),
    };
  }
}

const dearest = (one: Tally, other: Tally): number => other.time - one.time;
