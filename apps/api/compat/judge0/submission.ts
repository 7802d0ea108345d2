import type { StagedExecution } from '../piston/response.js';
import { bytesOf, type Content, encode } from './base64.js';
import type { Judge0Fields } from './request.js';
import { outcomeOf } from './statuses.js';

export const DEFAULT_FIELDS = ['token', 'time', 'memory', 'stdout', 'stderr', 'compile_output', 'message', 'status'];
const OTHERS = [
  'source_code',
  'language_id',
  'stdin',
  'expected_output',
  'compiler_options',
  'command_line_arguments',
  'number_of_runs',
  'cpu_time_limit',
  'cpu_extra_time',
  'wall_time_limit',
  'memory_limit',
  'stack_limit',
  'max_processes_and_or_threads',
  'enable_per_process_and_thread_time_limit',
  'enable_per_process_and_thread_memory_limit',
  'max_file_size',
  'redirect_stderr_to_stdout',
  'callback_url',
  'additional_files',
  'enable_network',
  'exit_code',
  'exit_signal',
  'status_id',
  'language',
  'created_at',
  'finished_at',
  'wall_time',
];
const ALL = new Set([...DEFAULT_FIELDS, ...OTHERS]);
/** Text that a program or a person wrote: in base64 when it is asked for. */
const TEXTS = new Set(['source_code', 'stdin', 'expected_output', 'stdout', 'stderr', 'compile_output', 'message']);
const DECIMALS = ['cpu_time_limit', 'cpu_extra_time', 'wall_time_limit'] as const;
const KIB = 1024;

/** What `fields=` asks for; the names that are none. */
export function requestedFields(text: string | undefined): { fields: string[]; invalid: string[] } {
  if (text === undefined || text === '') return { fields: DEFAULT_FIELDS, invalid: [] };
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('*')) return { fields: [...ALL], invalid: [] };
  return { fields: names, invalid: names.filter((name) => !ALL.has(name)) };
}

/** Some text is no UTF-8 and was asked for as it is. */
export class NotUtf8 extends Error {}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text(bytes: Uint8Array, encoded: boolean): string {
  if (encoded) return encode(bytes);
  try {
    return utf8.decode(bytes);
  } catch {
    throw new NotUtf8();
  }
}

const seconds = (milliseconds: number): string => (Math.round(milliseconds) / 1000).toString();
const decimal = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** All fields of a submission, from what was asked and how it went. */
function whole(token: string, asked: Judge0Fields, execution: StagedExecution): Record<string, unknown> {
  const { usage, compilation, createdAt, finishedAt } = execution;
  const { status, message, exitCode, exitSignal } = outcomeOf(
    execution,
    asked.expected_output,
    asked.cpu_time_limit * 1000,
  );
  const ran = status.id > 2 && status.id !== 6 && status.id !== 13;
  const output = (data: string, encoding: 'utf8' | 'base64'): Buffer | null => {
    const bytes = Buffer.from(data, encoding);
    return !ran || bytes.length === 0 ? null : bytes;
  };
  const said = compilation?.output ?? '';
  const compileOutput = said === '' && compilation && !compilation.ok && compilation.exitCode === null ? LATE : said;
  return {
    ...asked,
    ...Object.fromEntries(DECIMALS.map((field) => [field, decimal(asked[field])])),
    language: { id: asked.language_id, name: asked.language },
    token,
    time: ran && usage ? seconds(usage.cpuMs) : null,
    wall_time: ran && usage ? seconds(usage.wallMs) : null,
    memory: ran && usage ? Math.round(usage.memoryPeakBytes / KIB) : null,
    stdout: output(execution.stdout, execution.stdoutEncoding),
    stderr: output(execution.stderr, execution.stderrEncoding),
    compile_output: compileOutput === '' ? null : compileOutput,
    message,
    exit_code: exitCode,
    exit_signal: exitSignal,
    status,
    status_id: status.id,
    created_at: createdAt,
    finished_at: finishedAt,
  };
}

const LATE = 'Compilation time limit exceeded.';

/** The fields that are asked for. Throws NotUtf8. */
export function toSubmission(
  token: string,
  asked: Judge0Fields,
  execution: StagedExecution,
  fields: readonly string[],
  encoded: boolean,
): Record<string, unknown> {
  const all = whole(token, asked, execution);
  return Object.fromEntries(
    fields.map((name) => {
      const value = all[name] ?? null;
      // An archive is told in base64 in any case, as it came.
      if (name === 'additional_files')
        return [name, value === null ? null : encode(Buffer.from(String(value), 'base64'))];
      if (value === null || !TEXTS.has(name)) return [name, value];
      return [name, text(Buffer.isBuffer(value) ? value : bytesOf(value as Content), encoded)];
    }),
  );
}
