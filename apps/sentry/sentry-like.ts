import type { ImageSpec } from '@cordon/sentry/boot/boot-message';

/** What the zygote needs of a kernel: `Sentry` of @cordon/sentry/boot/sentry, or a stand-in in tests. */
export interface SentryLike {
  /** In the zygote: opens the image's roots, fills caches, runs the code that must be warm. */
  warm(image: ImageSpec, platform: string): void;
  /** In the child, before the request is known: creates the platform. */
  prepare(channelFd: number, pinCpu: number): void;
  /** Reads the boot message from the channel, runs the guest, sends End. Returns the process' exit code. */
  run(): number;
}
