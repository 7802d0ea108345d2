import { check, zygoteNative as native, ZygoteEvent } from '@cordon/sentry/platform/zygote.unsafe';
import { trialChild } from './child.js';
import { bootFrame } from './rehearsal.js';
import type { SentryLike } from './sentry-like.js';

const PAIRS_MOST = 1000;
const PAIR_BYTES = 16;
const PAGE_BYTES = 4096n;
/**
 * An idle Sentry has no more than this of its own, before a guest comes: some 730 are written to. 512 -> 672: `/bin/true` on a spare 4.86 -> 4.51 ms,
 * private memory of an idle Sentry 2.27 -> 2.90 MB.
 */
const PAGES_MOST = 672n;
const NONE = new BigUint64Array(0);

export interface TrialPlace {
  readonly nullFd: number;
  readonly stale: Int32Array;
  readonly keep: Int32Array;
  readonly control: number;
  readonly childEvents: number;
}

/**
 * Lets one child run a small guest and asks it which pages it wrote to: pairs of start and end, for `prefault` in the children to come.
 * Empty when it did not get so far. Precondition: a fork is possible now, nothing is closed in yet.
 */
export function learnCommonPages(sentry: SentryLike, { control, childEvents, ...place }: TrialPlace): BigUint64Array {
  const pair = new Int32Array(2);
  check(native.socketPair(pair), 'socketpair');
  const [supervisor, channel] = pair;
  const result = check(native.errorFile(8 + PAIRS_MOST * PAIR_BYTES), 'memfd_create');
  native.writeAll(supervisor, bootFrame(0, ['/bin/sh', '-c', '(/bin/true)']));
  const event = new Int32Array(8);
  const pid = check(native.forkChild(-1), 'fork');
  if (pid === 0) trialChild(sentry, { ...place, channel, errors: result }, PAIRS_MOST);
  for (;;) {
    const kind = native.zygoteWait(control, childEvents, event);
    if (kind === ZygoteEvent.ChildEnded && event[0] === pid) break;
    if (kind !== ZygoteEvent.ChildEnded) native.exitGroup(0);
  }
  const pairs = event[1] === 0 ? readPairs(result) : NONE;
  for (const fd of [supervisor, channel, result]) native.closeDescriptor(fd);
  return pairs;
}

function readPairs(fd: number): BigUint64Array {
  const words = new BigUint64Array(1 + 2 * PAIRS_MOST);
  native.readAt(fd, new Uint8Array(words.buffer), 0);
  const end = 1 + 2 * Number(words[0]);
  let left = PAGES_MOST;
  for (let at = 1; at < end; at += 2) {
    left -= (words[at + 1] - words[at]) / PAGE_BYTES;
    if (left < 0n) return words.slice(1, at);
  }
  return words.slice(1, end);
}
