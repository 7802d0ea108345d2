import { randomBytes } from 'node:crypto';
import { CONTEXT_RESULT_BYTES, type ContextEvent } from '@cordon/contracts';

/** What a driver says: that it takes code, that a run can be interrupted from now on, and the events of the run. */
export type DriverEvent = ContextEvent | { readonly type: 'ready' } | { readonly type: 'begun' };

export interface DriverRun {
  readonly id: number;
  readonly code: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The language between the worker and one driver. */
export interface Wire {
  /** Whose frames count now; null: nobody's. What is printed with another token is just printed. */
  readonly token: string | null;
  hello(): string;
  run(run: DriverRun): string;
  /** What to say beside the signal; null: the signal alone does it. */
  interrupt(): string | null;
  /** A frame as events, and what the driver is told in return. Throws TypeError for what is no event. */
  frame(value: unknown): { readonly events: readonly DriverEvent[]; readonly answer?: string };
}

export const newToken = (): string => randomBytes(16).toString('hex');

/** Requests are lines of JSON; one token for all frames, which the driver keeps to itself. */
export class JsonWire implements Wire {
  readonly token = newToken();

  constructor(private readonly interruptRequest: boolean) {}

  hello(): string {
    return line({ op: 'hello', token: this.token, resultBytes: CONTEXT_RESULT_BYTES });
  }

  run(run: DriverRun): string {
    return line({ op: 'run', ...run });
  }

  interrupt(): string | null {
    return this.interruptRequest ? line({ op: 'interrupt' }) : null;
  }

  frame(value: unknown): { events: DriverEvent[] } {
    return { events: [checked(value)] };
  }
}

const line = (request: object): string => `${JSON.stringify(request)}\n`;
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The fields of what a driver sent. Throws TypeError for what is no event. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new TypeError('no event');
  return value as Record<string, unknown>;
}

/** The code shares its process with the driver: what comes is taken field by field. */
function checked(value: unknown): DriverEvent {
  const { type, main, data, name, value: message, traceback, executionCount, outcome } = fieldsOf(value);
  switch (type) {
    case 'ready':
    case 'begun':
      return { type };
    case 'result': {
      const entries = Object.entries(typeof data === 'object' && data !== null ? data : {});
      return {
        type,
        main: main === true,
        data: Object.fromEntries(entries.map(([mime, found]) => [mime, text(found)])),
      };
    }
    case 'error':
      return { type, name: text(name), value: text(message), traceback: text(traceback) };
    case 'end':
      return {
        type,
        executionCount: Number.isSafeInteger(executionCount) ? (executionCount as number) : 0,
        outcome: outcome === 'ok' || outcome === 'interrupted' ? outcome : 'error',
        exitCode: null,
      };
    default:
      throw new TypeError('no event');
  }
}
