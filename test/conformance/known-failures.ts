import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reason why a check fails inside, by `suite/check`. The list may only shrink. */
export type KnownFailures = Readonly<Record<string, string>>;

export function readKnownFailures(): KnownFailures {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'known-failures.json'), 'utf8')) as KnownFailures;
}
