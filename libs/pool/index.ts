export type { SessionExit, SessionReply, SessionRequest } from '@cordon/sentry/boot/session/session-message';
export { PLATFORM_NAMES } from '@cordon/sentry/platform/choose';
export { createPool } from './create-pool.js';
export { type Lease, PlatformPools, type PlatformPoolsOptions } from './platform-pools.js';
export * from './session.js';
export { Dialed } from './session-dial.js';
export * from './types.js';
