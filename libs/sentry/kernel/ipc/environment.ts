import type { FrameAllocator } from '../../mm/types.js';

/** What IPC objects need of the kernel they live in. */
export interface IpcEnvironment {
  readonly frames: FrameAllocator;
  /** CLOCK_REALTIME in seconds. */
  seconds(): number;
  /** Process whose call is being answered (shm_lpid of a mapping that comes or goes); 0 = none. */
  currentPid(): number;
}
