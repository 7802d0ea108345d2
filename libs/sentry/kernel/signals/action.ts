import { SIG_DFL, SIG_IGN, SIGRTMAX } from '../../abi/signal.js';

/** One row of sigaction(2), as the guest set it. Never changed: processes share it until one of them sets another. */
export class SignalAction {
  constructor(
    /** SIG_DFL, SIG_IGN or an address. */
    readonly handler: number,
    readonly flags = 0,
    readonly restorer = 0,
    readonly maskLow = 0,
    readonly maskHigh = 0,
  ) {}
}

const DEFAULT = new SignalAction(SIG_DFL);
const IGNORED = new SignalAction(SIG_IGN);

/** The table of handlers of a process: shared by CLONE_SIGHAND. */
export class SignalHandlers {
  references = 1;

  /** `actions`: by signal number; [0] is unused. */
  constructor(readonly actions: SignalAction[] = new Array(SIGRTMAX + 1).fill(DEFAULT)) {}

  copy(): SignalHandlers {
    return new SignalHandlers(this.actions.slice());
  }

  set(signal: number, action: SignalAction): void {
    this.actions[signal] = action;
  }

  /** What a handler was set with stays. */
  setDefault(signal: number): void {
    const { flags, restorer, maskLow, maskHigh } = this.actions[signal];
    this.actions[signal] = new SignalAction(SIG_DFL, flags, restorer, maskLow, maskHigh);
  }

  ignore(signal: number): void {
    this.actions[signal] = IGNORED;
  }

  /** execve(2), CLONE_CLEAR_SIGHAND: handlers go, ignored signals stay ignored. */
  resetForExec(): void {
    for (let signal = 1; signal <= SIGRTMAX; signal++) {
      this.actions[signal] = this.actions[signal].handler === SIG_IGN ? IGNORED : DEFAULT;
    }
  }
}
