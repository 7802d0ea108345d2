import { type CapturePlan, planCapture } from './capture.js';
import { type ResultKind, UNKNOWN_SIGNATURE } from './format.js';
import { parseSignature } from './signature.js';

/** What the recorder must know of a call: a row of the system call table has it. */
export interface RecordedCall {
  readonly name: string;
  readonly signature: string;
  readonly support?: 'full' | 'partial' | 'refused';
  readonly security?: boolean;
  readonly result?: ResultKind;
}

/** Everything known about recording one system call number, worked out once. */
export interface Plan {
  readonly number: number;
  /** Of its definition in the stream: the number, or `UNKEPT`. */
  readonly id: number;
  readonly call: RecordedCall;
  readonly argumentCount: number;
  readonly entry: readonly CapturePlan[];
  readonly exit: readonly CapturePlan[];
  /** Indexes of arguments that are paths. */
  readonly paths: readonly number[];
  /** Recorded at level security. */
  readonly security: boolean;
  /** Index of an open-flags argument: at level security only opens for writing count. -1 = none. */
  readonly openFlagsIndex: number;
  /** Its definition has been written. */
  defined: boolean;
}

/** Numbers below have a plan that is kept. */
const KNOWN_NUMBERS = 1024;
/** Wild numbers are as many as a guest likes: their plans are not kept, and share one definition. */
export const UNKEPT = KNOWN_NUMBERS;

/** The plans of one recorder. */
export class Plans {
  private readonly plans: (Plan | undefined)[] = new Array(KNOWN_NUMBERS).fill(undefined);

  /** `calls`: rows by number; what has none is recorded with its registers, by Linux's name in `names`. */
  constructor(
    private readonly calls: readonly (RecordedCall | undefined)[],
    private readonly names: readonly (string | undefined)[],
  ) {}

  of(number: number): Plan {
    return this.plans[number] ?? this.make(number);
  }

  private make(number: number): Plan {
    const call = this.calls[number] ?? {
      name: this.names[number] ?? `syscall_0x${(number >>> 0).toString(16)}`,
      signature: UNKNOWN_SIGNATURE,
      support: 'refused' as const,
    };
    const kept = number >= 0 && number < KNOWN_NUMBERS;
    const parameters = parseSignature(call.signature).slice(0, 6);
    const captures = parameters.map((parameter, index) => planCapture(parameter, index));
    const entry = captures.filter((candidate) => candidate?.direction === 'in').filter((found) => found !== null);
    const plan: Plan = {
      number: number >>> 0,
      id: kept ? number : UNKEPT,
      call,
      argumentCount: parameters.length,
      entry,
      paths: entry.filter(({ form }) => form === 'path').map(({ index }) => index),
      exit: captures.filter((candidate) => candidate?.direction === 'out').filter((found) => found !== null),
      security: call.security === true || call.support === 'refused',
      openFlagsIndex: parameters.findIndex((parameter) => parameter.base === 'open-flags'),
      defined: false,
    };
    if (kept) this.plans[number] = plan;
    return plan;
  }
}
