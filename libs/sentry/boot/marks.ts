import { host } from '../platform/host.js';
import type { SentryMarks } from './boot-message.js';
import type { Output } from './output.js';

type Mark = keyof SentryMarks;

/** When what happened in this Sentry. A mark is one clock reading, and there are few. */
export class Marks {
  private readonly at: { [M in Mark]: SentryMarks[M] } = {
    confined: 0,
    ready: 0,
    booted: 0,
    built: 0,
    loaded: null,
    firstOutput: null,
    ended: 0,
  };

  set(mark: Mark): void {
    this.at[mark] = host.now();
  }

  /** Also tells when the guest first writes. Precondition: `onDirty` is set, and the guest has not begun. */
  watch(output: Output): void {
    const { onDirty } = output;
    output.onDirty = () => {
      this.set('firstOutput');
      output.onDirty = onDirty;
      onDirty();
    };
  }

  report(): SentryMarks {
    return { ...this.at };
  }
}
