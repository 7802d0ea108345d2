/** Where a task stands. Only `Running` ones have guest code under way; the kernel loop owns all changes. */
export const RunState = {
  /** Its guest code runs (or is about to trap). */
  Running: 0,
  /** In the kernel's run queue: its call is tried again, or it goes back to its guest code. */
  Ready: 1,
  /** Parked in a system call. */
  Blocked: 2,
  /** Stopped by job control. */
  Stopped: 3,
  Dead: 4,
  /** Stopped for its tracer (ptrace(2)). */
  Traced: 5,
  /** In the kernel's run queue: its tracer let it go on from where it stopped. */
  Resumed: 6,
} as const;
export type RunStateKind = (typeof RunState)[keyof typeof RunState];
