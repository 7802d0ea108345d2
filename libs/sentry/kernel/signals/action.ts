import { SIG_DFL, SIG_IGN, SIGRTMAX } from '../../abi/signal.js';

/** One row of sigaction(2), as the guest set it. */
export class SignalAction {
  /** SIG_DFL, SIG_IGN or an address. */
  handler = SIG_DFL;
  flags = 0;
  restorer = 0;
  maskLow = 0;
  maskHigh = 0;

  reset(): void {
    this.handler = SIG_DFL;
    this.flags = 0;
    this.restorer = 0;
    this.maskLow = 0;
    this.maskHigh = 0;
  }
}

/** The table of handlers of a process: shared by CLONE_SIGHAND. */
export class SignalHandlers {
  references = 1;
  /** By signal number; [0] is unused. */
  readonly actions: SignalAction[] = Array.from({ length: SIGRTMAX + 1 }, () => new SignalAction());

  copy(): SignalHandlers {
    const copy = new SignalHandlers();
    for (let signal = 1; signal <= SIGRTMAX; signal++) Object.assign(copy.actions[signal], this.actions[signal]);
    return copy;
  }

  /** execve(2), CLONE_CLEAR_SIGHAND: handlers go, ignored signals stay ignored. */
  resetForExec(): void {
    for (let signal = 1; signal <= SIGRTMAX; signal++) {
      const action = this.actions[signal];
      const ignored = action.handler === SIG_IGN;
      action.reset();
      if (ignored) action.handler = SIG_IGN;
    }
  }
}
