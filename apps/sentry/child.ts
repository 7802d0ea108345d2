import { FRAME_HEADER_BYTES, FrameType } from '@cordon/sentry/boot/boot-message';
import { confineChild, sealChild } from '@cordon/sentry/platform/confine.unsafe';
import { CHANNEL_FD, check, zygoteNative as native } from '@cordon/sentry/platform/zygote.unsafe';
import type { SentryLike } from './sentry-like.js';
import { reseedRandom } from './warm.js';

export interface ChildStart {
  readonly nullFd: number;
  /** Descriptors of Node, to be replaced by /dev/null. */
  readonly stale: Int32Array;
  /** All descriptors that stay open, ascending; the others (the zygote's) are closed. */
  readonly keep: Int32Array;
  readonly channel: number;
  readonly errors: number;
  readonly cpu: number;
  /** Counts the children of a zygote. */
  readonly id: number;
  /** Pages that it will write to (`learnCommonPages`). */
  readonly pages: BigUint64Array;
}

const STANDARD_ERROR = 2;
/** sysexits' EX_SOFTWARE: an exception nobody caught. */
const EXIT_UNCAUGHT = 70;

const readyFrame = new Uint8Array(FRAME_HEADER_BYTES);
readyFrame[4] = FrameType.Ready;

/**
 * A forked child's whole life. There is no event loop here, no other thread and no way back: microtasks never run,
 * and the process ends by a raw exit_group.
 */
export function runChild(sentry: SentryLike, start: ChildStart): never {
  let code = EXIT_UNCAUGHT;
  try {
    check(native.childStart(start.nullFd, start.stale, start.keep, start.channel, start.errors), 'childStart');
    native.prefault(start.pages);
    reseedRandom();
    Object.defineProperty(process, 'pid', { value: native.getPid() });
    confineChild(start.id);
    sentry.prepare(CHANNEL_FD, start.cpu);
    sealChild();
    native.writeAll(CHANNEL_FD, readyFrame);
    code = sentry.run();
  } catch (error) {
    native.writeAll(STANDARD_ERROR, Buffer.from(`${error instanceof Error ? error.stack : String(error)}\n`));
  }
  return native.exitGroup(code);
}

/** A child that runs what its channel holds, not closed in, and writes into `errors` how many pairs of addresses follow and these. */
export function trialChild(
  sentry: SentryLike,
  start: Pick<ChildStart, 'nullFd' | 'stale' | 'keep' | 'channel' | 'errors'>,
  most: number,
): never {
  try {
    check(native.childStart(start.nullFd, start.stale, start.keep, start.channel, start.errors), 'childStart');
    sentry.prepare(CHANNEL_FD, native.currentCpu());
    const code = sentry.run();
    const words = new BigUint64Array(1 + 2 * most);
    words[0] = BigInt(check(native.privatePages(words.subarray(1)), 'pagemap'));
    native.writeAll(STANDARD_ERROR, new Uint8Array(words.buffer));
    return native.exitGroup(code);
  } catch {
    // Nothing is learned, which costs a little time. It must not go on as another zygote.
    return native.exitGroup(EXIT_UNCAUGHT);
  }
}

/** A child that only closes itself in; its exit code is what failed. */
export function probeChild(): never {
  return native.exitGroup(confineChild(0) | sealChild());
}
