import type { ImageSpec } from '@cordon/sentry/boot/boot-message';
import type { KnownNames } from '@cordon/sentry/fs/overlay/image-directory';

/** What the zygote needs of a kernel: `Sentry` of @cordon/sentry/boot/sentry, or a stand-in in tests. */
export interface SentryLike {
  /** In the zygote: opens the image's roots, fills caches. `known`: names of the image that guests will ask for. */
  warm(image: ImageSpec, platform: string, known?: readonly KnownNames[], kvmExitless?: boolean): void;
  /** What was asked for. */
  knownNames?(): KnownNames[];
  /** Its guest is gone for good, this process is not: gives up what would be in the way of the next. */
  retire?(): void;
  /** In the child, before the request is known: creates the platform. */
  prepare(channelFd: number, pinCpu: number): void;
  /** Reads the boot message from the channel, runs the guest, sends End. Returns the process' exit code. */
  run(): number;
}

export type SentryClass = new () => SentryLike;
