/** Bounds of an execution: default and maximum of each, in one place. Requests may ask for less than the maximum. */
export const LIMITS = {
  wallTimeMs: { minimum: 1, default: 10_000, maximum: 300_000, description: 'Wall clock, in milliseconds' },
  cpuTimeMs: {
    minimum: 1,
    default: 10_000,
    maximum: 300_000,
    description: 'Processor time of the guest, in milliseconds',
  },
  memoryBytes: {
    minimum: 4 << 20,
    default: 512 << 20,
    maximum: 2 ** 31,
    description: 'Committed memory, files in memory included',
  },
  processes: { minimum: 1, default: 64, maximum: 1024, description: 'Tasks (threads included) alive at once' },
  outputBytes: { minimum: 1, default: 1 << 20, maximum: 16 << 20, description: 'stdout and stderr together' },
  fileBytes: { minimum: 1, default: 256 << 20, maximum: 2 ** 31, description: 'Largest single file' },
} as const;
export type LimitName = keyof typeof LIMITS;
export type ExecutionLimits = Record<LimitName, number>;

/** Not for requests to choose. */
export const FIXED_LIMITS = { openFiles: 1024, auditBytes: 4 << 20 } as const;

/** Sizes of what a request brings. */
export const REQUEST_LIMITS = {
  bodyBytes: 32 << 20,
  jsonDepth: 16,
  sourceBytes: 1 << 20,
  files: 256,
  fileBytes: 8 << 20,
  filesBytes: 16 << 20,
  stdinBytes: 8 << 20,
  arguments: 1024,
  argumentBytes: 128 << 10,
  environment: 256,
  labels: 16,
  waitSeconds: 300,
} as const;

/** Where relative paths of a request live inside the sandbox. */
export const WORK_DIRECTORY = '/work';
