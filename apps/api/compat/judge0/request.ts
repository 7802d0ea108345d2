import { type ExecutionJob, LIMITS, REQUEST_LIMITS, WORK_DIRECTORY } from '@cordon/contracts';
import { limitsOf, pathFault } from '../../executions/validate.js';
import { PeerRefusal, ProblemException } from '../../http/problem.js';
import { unpackFiles } from './additional-files.js';
import { bytesOf, type Content, contentOf, decode } from './base64.js';
import { type Language, MULTI_FILE } from './languages.js';
import { FLAGS, type Flag, JUDGE0_CONFIG, NUMBER_RULES, type NumberField, OPTIONS_MOST } from './limits.js';

/** What Judge0 answers with 422: messages by field. */
export class Judge0Invalid extends PeerRefusal {
  readonly status = 422;
  constructor(readonly errors: Readonly<Record<string, string[]>>) {
    super('invalid submission');
  }
}

/** The request as Judge0 keeps and tells it: decoded, with defaults. */
export type Judge0Fields = Readonly<Record<NumberField, number>> &
  Readonly<Record<Flag, boolean>> & {
    readonly language_id: number;
    readonly language: string;
    readonly source_code: Content | null;
    readonly stdin: Content | null;
    readonly expected_output: Content | null;
    readonly compiler_options: string | null;
    readonly command_line_arguments: string | null;
    readonly callback_url: string | null;
    /** base64 */
    readonly additional_files: string | null;
  };

const COMPILE_LIMITS = limitsOf({ wallTimeMs: 20_000, cpuTimeMs: 20_000, memoryBytes: LIMITS.memoryBytes.default });
const KIB = 1024;
/** Judge0 reads no output beyond the file size limit; ours is bounded by its own. */
const OUTPUT_MOST = LIMITS.outputBytes.maximum;

class Errors {
  readonly byField: Record<string, string[]> = {};
  add(field: string, message: string): void {
    this.byField[field] = [...(this.byField[field] ?? []), message];
  }
  get any(): boolean {
    return Object.keys(this.byField).length > 0;
  }
}

const present = (value: unknown): boolean => value !== undefined && value !== null && value !== '';

function textOf(body: Record<string, unknown>, field: string, encoded: boolean, errors: Errors): string | null {
  const content = contentIn(body, field, encoded, errors);
  return content === null || typeof content === 'string' ? content : bytesOf(content).toString('utf8');
}

/** The same where it need not be text. */
function contentIn(body: Record<string, unknown>, field: string, encoded: boolean, errors: Errors): Content | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  if (typeof value === 'object') {
    errors.add(field, 'is not a string');
    return null;
  }
  return encoded ? contentOf(decode(String(value))) : String(value);
}

function numbersOf(body: Record<string, unknown>, errors: Errors): Record<NumberField, number> {
  const numbers = {} as Record<NumberField, number>;
  for (const rule of NUMBER_RULES) {
    const { field, fallback, minimum, maximum, whole } = rule;
    const given = body[field];
    const value = present(given) ? Number(given) : fallback;
    if (!Number.isFinite(value) || typeof given === 'object') errors.add(field, 'is not a number');
    else if ('above' in rule && value <= minimum) errors.add(field, `must be greater than ${minimum}`);
    else if (value < minimum) errors.add(field, `must be greater than or equal to ${minimum}`);
    else if (value > maximum)
      errors.add(field, `must be less than or equal to ${whole ? maximum : maximum.toFixed(1)}`);
    numbers[field] = whole ? Math.trunc(value) : value;
  }
  return numbers;
}

const truthy = (value: unknown): boolean => value === true || value === 1 || /^(true|t|1|yes|on)$/i.test(String(value));

function flagsOf(body: Record<string, unknown>, errors: Errors): Record<Flag, boolean> {
  const flags = Object.fromEntries(FLAGS.map((flag) => [flag, truthy(body[flag] ?? false)])) as Record<Flag, boolean>;
  if (flags.enable_network) errors.add('enable_network', 'this option cannot be enabled');
  return flags;
}

/** The fields of a request. Throws Judge0Invalid. */
export function readFields(
  body: Record<string, unknown>,
  encoded: boolean,
  languages: readonly Language[],
  callbackFault: (url: string) => string | null,
): Judge0Fields {
  const errors = new Errors();
  const id = present(body.language_id) ? Number(body.language_id) : null;
  const language = languages.find((one) => one.id === id);
  const read = language?.asIs ? contentIn : textOf;
  const source = read(body, 'source_code', encoded, errors);
  if (id === null) errors.add('language_id', "can't be blank");
  else if (!language) errors.add('language_id', `language with id ${String(body.language_id)} doesn't exist`);
  const files = textOf(body, 'additional_files', false, errors);
  if (id === MULTI_FILE) {
    if (present(source)) errors.add('source_code', 'should be blank for multi-file programs');
    if (!present(files)) errors.add('additional_files', "can't be blank");
  } else if (!present(source)) errors.add('source_code', "can't be blank");
  const options = textOf(body, 'compiler_options', false, errors);
  if (present(options) && language && !language.runtime?.compiled)
    errors.add('compiler_options', 'setting compiler options is only allowed for languages that are compiled');
  const words = textOf(body, 'command_line_arguments', false, errors);
  for (const [field, value] of Object.entries({ compiler_options: options, command_line_arguments: words }))
    if ((value ?? '').length > OPTIONS_MOST) errors.add(field, `is too long (maximum is ${OPTIONS_MOST} characters)`);
  const callback = textOf(body, 'callback_url', false, errors);
  const fault = callback === null || callback === '' ? null : callbackFault(callback);
  if (fault !== null) errors.add('callback_url', fault);
  const stdin = contentIn(body, 'stdin', encoded, errors);
  const sourceMost = language?.asIs ? REQUEST_LIMITS.fileBytes : REQUEST_LIMITS.sourceBytes;
  if (bytesOf(source ?? '').length > sourceMost) errors.add('source_code', 'is too long');
  if (bytesOf(stdin ?? '').length > REQUEST_LIMITS.stdinBytes) errors.add('stdin', 'is too long');
  const fields: Judge0Fields = {
    ...numbersOf(body, errors),
    ...flagsOf(body, errors),
    language_id: id ?? 0,
    language: language?.name ?? '',
    source_code: source,
    stdin,
    expected_output: contentIn(body, 'expected_output', encoded, errors),
    compiler_options: options,
    command_line_arguments: words,
    callback_url: callback === '' ? null : callback,
    additional_files: !present(files) ? null : decode(files ?? '').toString('base64'),
  };
  if (errors.any) throw new Judge0Invalid(errors.byField);
  return fields;
}

/** The words of a line as a shell would see them: quotes and backslashes, nothing else. */
export function wordsOf(line: string | null): string[] {
  const words: string[] = [];
  let word: string | null = null;
  for (const [part, double, single, escaped, plain] of (line ?? '').matchAll(
    /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)|([^\s"'\\]+)|\s+|["'\\]/gs,
  )) {
    if (/^\s+$/.test(part)) {
      if (word !== null) words.push(word);
      word = null;
      continue;
    }
    word = (word ?? '') + (double?.replace(/\\(["\\$`])/g, '$1') ?? single ?? escaped ?? plain ?? part);
  }
  return word === null ? words : [...words, word];
}

/** What is run. Throws Judge0Invalid for files that are no archive. */
export async function jobOf(id: string, fields: Judge0Fields, language: Language): Promise<ExecutionJob> {
  const unpacked = fields.additional_files === null ? [] : await files(fields.additional_files);
  const { runtime, asIs } = language;
  const { run, make } = runtime
    ? { run: null, make: null }
    : asIs
      ? { run: asIs.run, make: null }
      : scriptsOf(unpacked);
  const source = bytesOf(fields.source_code ?? '');
  const own = asIs ? [{ path: asIs.fileName, base64: source.toString('base64') }] : [];
  const fileName = runtime?.fileName ?? asIs?.fileName;
  const args = wordsOf(fields.command_line_arguments);
  const staged = runtime?.compiled === true || make !== null;
  const { number_of_runs: runs, expected_output: expected } = fields;
  return {
    id,
    runtime: runtime?.id ?? null,
    source: runtime ? source.toString('utf8') : null,
    command: run === null ? null : [...run, ...args],
    args: run === null ? args : [],
    // The program is the source, whatever the archive has under its name.
    files: [...unpacked.filter(({ path }) => path !== fileName), ...own],
    stdin: bytesOf(fields.stdin ?? '').toString('base64'),
    env: {},
    cwd: WORK_DIRECTORY,
    limits: limitsOf({
      wallTimeMs: Math.round(fields.wall_time_limit * 1000),
      cpuTimeMs: Math.max(1, Math.round((fields.cpu_time_limit + fields.cpu_extra_time) * 1000)),
      memoryBytes: Math.max(LIMITS.memoryBytes.minimum, fields.memory_limit * KIB),
      processes: fields.max_processes_and_or_threads,
      fileBytes: Math.max(1, fields.max_file_size * KIB),
      outputBytes: OUTPUT_MOST,
    }),
    ...(staged ? { compileLimits: COMPILE_LIMITS } : {}),
    variant: {
      compileArgs: wordsOf((fields.compiler_options ?? '').replace(/[$&;<>|`]/g, '')),
      ...(make === null ? {} : { compileCommand: make }),
      stackKib: fields.stack_limit,
      mergeStderr: fields.redirect_stderr_to_stdout,
      ...(runs > 1
        ? { repeat: { runs, expected: expected === null ? null : bytesOf(expected).toString('utf8') } }
        : {}),
    },
    auditLevel: 'security',
    network: 'none',
  };
}

/** How a multi-file program is made, if it is, and run. Throws Judge0Invalid. */
function scriptsOf(unpacked: ExecutionJob['files']): { run: readonly string[]; make: readonly string[] | null } {
  const script = (name: string): string[] | null => {
    const found = [name, `${name}.sh`].find((path) => unpacked.some((file) => file.path === path));
    return found ? ['/bin/bash', found] : null;
  };
  const run = script('run');
  if (run === null) throw new Judge0Invalid({ additional_files: ['there is no run script'] });
  return { run, make: script('compile') };
}

async function files(base64: string): Promise<ExecutionJob['files']> {
  try {
    const found = await unpackFiles(Buffer.from(base64, 'base64'), JUDGE0_CONFIG.max_extract_size * KIB);
    for (const { path } of found) {
      const fault = pathFault(path);
      if (fault !== null) throw new Judge0Invalid({ additional_files: [`"${path}" ${fault}`] });
    }
    return found;
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    throw new Judge0Invalid({ additional_files: [error.problem.detail ?? error.problem.title] });
  }
}
