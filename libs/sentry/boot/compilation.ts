import { setFlagsFromString } from 'node:v8';

/** Invocations after which a function is worth the halt in a child. */
const HOT_IN_CHILD = 50;

/**
 * Whether V8 compiles hot functions any further (Maglev). What is compiled stays in use either way. Most guests are over before their
 * Sentry's own compilation would have paid: it halts the one thread, up to 2 ms a function (4 of 30 ms of a `python3 -c 1`).
 */
export function compileHotCode(on: boolean): void {
  setFlagsFromString(on ? '--maglev' : '--no-maglev');
  if (on) setFlagsFromString(`--invocation-count-for-maglev=${HOT_IN_CHILD}`);
}
