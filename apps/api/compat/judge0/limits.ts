/** Judge0's configuration (its defaults), as GET /config_info tells it and requests are checked against. */
export const JUDGE0_CONFIG = {
  maintenance_mode: false,
  enable_wait_result: true,
  enable_compiler_options: true,
  allowed_languages_for_compile_options: [] as string[],
  enable_command_line_arguments: true,
  enable_submission_delete: true,
  enable_callbacks: true,
  callbacks_max_tries: 3,
  callbacks_timeout: 5,
  enable_additional_files: true,
  max_queue_size: 100_000,
  cpu_time_limit: 5,
  max_cpu_time_limit: 15,
  cpu_extra_time: 1,
  max_cpu_extra_time: 5,
  wall_time_limit: 10,
  max_wall_time_limit: 20,
  memory_limit: 128_000,
  max_memory_limit: 512_000,
  stack_limit: 64_000,
  max_stack_limit: 128_000,
  max_processes_and_or_threads: 60,
  max_max_processes_and_or_threads: 120,
  enable_per_process_and_thread_time_limit: false,
  allow_enable_per_process_and_thread_time_limit: true,
  enable_per_process_and_thread_memory_limit: false,
  allow_enable_per_process_and_thread_memory_limit: true,
  max_file_size: 1024,
  max_max_file_size: 4096,
  number_of_runs: 1,
  max_number_of_runs: 20,
  redirect_stderr_to_stdout: false,
  max_extract_size: 10_240,
  enable_batched_submissions: true,
  max_submission_batch_size: 20,
  submission_cache_duration: 0,
  use_docs_as_homepage: false,
  allow_enable_network: false,
  enable_network: false,
} as const;

export interface NumberRule {
  readonly field: NumberField;
  readonly fallback: number;
  /** At least; `above`: more than. */
  readonly minimum: number;
  readonly above?: true;
  readonly maximum: number;
  readonly whole: boolean;
}

const C = JUDGE0_CONFIG;

export const NUMBER_RULES = [
  {
    field: 'number_of_runs',
    fallback: C.number_of_runs,
    minimum: 0,
    above: true,
    maximum: C.max_number_of_runs,
    whole: true,
  },
  { field: 'cpu_time_limit', fallback: C.cpu_time_limit, minimum: 0, maximum: C.max_cpu_time_limit, whole: false },
  { field: 'cpu_extra_time', fallback: C.cpu_extra_time, minimum: 0, maximum: C.max_cpu_extra_time, whole: false },
  { field: 'wall_time_limit', fallback: C.wall_time_limit, minimum: 1, maximum: C.max_wall_time_limit, whole: false },
  { field: 'memory_limit', fallback: C.memory_limit, minimum: 2048, maximum: C.max_memory_limit, whole: true },
  { field: 'stack_limit', fallback: C.stack_limit, minimum: 0, maximum: C.max_stack_limit, whole: true },
  {
    field: 'max_processes_and_or_threads',
    fallback: C.max_processes_and_or_threads,
    minimum: 1,
    maximum: C.max_max_processes_and_or_threads,
    whole: true,
  },
  { field: 'max_file_size', fallback: C.max_file_size, minimum: 0, maximum: C.max_max_file_size, whole: true },
] as const satisfies readonly (Omit<NumberRule, 'field'> & { field: string })[];
export type NumberField = (typeof NUMBER_RULES)[number]['field'];

export const FLAGS = [
  'enable_per_process_and_thread_time_limit',
  'enable_per_process_and_thread_memory_limit',
  'redirect_stderr_to_stdout',
  'enable_network',
] as const;
export type Flag = (typeof FLAGS)[number];

/** Bytes of compiler options and of arguments. */
export const OPTIONS_MOST = 512;
