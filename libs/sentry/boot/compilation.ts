import { setFlagsFromString } from 'node:v8';

/** When V8 compiles a function further (Maglev); in invocations of it. */
export interface Hotness {
  readonly invocations: number;
  /** After it has met something new. */
  readonly afterNews: number;
  /**
   * How often V8 looks at a function that is compiled, or that must not be yet: one that loses its code in between (a dependency
   * of it has changed) waits so long for new code. The flag's name is of a compiler that is off.
   */
  readonly between: number;
}

/**
 * Rehearsals are short; their time is nobody's (50 -> 12 invocations: /bin/true on a spare 5.9 -> 5.0 ms). Too early is no good either: what was
 * compiled before it has seen most kinds of objects is thrown away.
 */
export const HOT_IN_REHEARSAL: Hotness = { invocations: 12, afterNews: 200, between: 24 };
/** Worth the halt in a child. */
export const HOT_IN_CHILD: Hotness = { invocations: 50, afterNews: 500, between: 3000 };

/**
 * What V8 compiles any further; null: nothing. What is compiled stays in use either way. Most guests are over before their Sentry's own
 * compilation would have paid: it halts the one thread, up to 5 ms a function (4 of 30 ms of a `python3 -c 1`).
 */
export function compileHotCode(hotness: Hotness | null): void {
  setFlagsFromString(hotness ? '--maglev' : '--no-maglev');
  const { invocations, afterNews, between } = hotness ?? { ...HOT_IN_CHILD, between: HOT_IN_CHILD.invocations };
  setFlagsFromString(`--invocation-count-for-maglev=${invocations}`);
  setFlagsFromString(`--minimum-invocations-after-ic-update=${afterNews}`);
  setFlagsFromString(`--invocation-count-for-turbofan=${between}`);
}
