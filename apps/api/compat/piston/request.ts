import {
  type ExecutionJob,
  type ExecutionLimits,
  LIMITS,
  type LimitName,
  REQUEST_LIMITS,
  type RuntimeDto,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import semver from 'semver';
import { limitsOf, pathFault } from '../../executions/validate.js';
import { PeerRefusal } from '../../http/problem.js';

/** What Piston answers as `{message}` with status 400. */
export class PistonRefusal extends PeerRefusal {
  override readonly name = 'PistonRefusal';
  readonly status = 400;
}

type Fields = Readonly<Record<string, unknown>>;

const ENCODINGS = ['utf8', 'base64', 'hex'] as const;
type Encoding = (typeof ENCODINGS)[number];
/** Piston's own defaults, in ms. */
const RUN_MS = 3000;
const COMPILE_MS = 10_000;

/** As Piston's clients name and select versions: "3.10.0", "3.x", "*". */
export function versionOf(runtime: RuntimeDto): string {
  return semver.coerce(runtime.version)?.version ?? '0.0.0';
}

export interface PistonRequest {
  readonly runtime: RuntimeDto;
  readonly job: Omit<ExecutionJob, 'id'>;
}

/** The body of POST /execute. Throws PistonRefusal with Piston's own words. */
export function readRequest(body: unknown, runtimes: readonly RuntimeDto[]): PistonRequest {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Fields;
  const { language, version, files } = fields;
  if (typeof language !== 'string' || language === '') throw new PistonRefusal('language is required as a string');
  if (typeof version !== 'string' || version === '') throw new PistonRefusal('version is required as a string');
  if (!Array.isArray(files)) throw new PistonRefusal('files is required as an array');
  const contents = files.map((file: unknown, index) => {
    const content = (file as Fields | null)?.content;
    if (typeof content !== 'string') throw new PistonRefusal(`files[${index}].content is required as a string`);
    return content;
  });
  const runtime = select(runtimes, language, version);
  return {
    runtime,
    job: {
      runtime: runtime.id,
      source: null,
      command: null,
      args: readArguments(fields.args),
      files: readFiles(files as Fields[], contents, runtime),
      stdin: Buffer.from(readStdin(fields.stdin), 'utf8').toString('base64'),
      env: {},
      cwd: WORK_DIRECTORY,
      limits: readLimits(fields, 'run', RUN_MS),
      compileLimits: readLimits(fields, 'compile', COMPILE_MS),
      auditLevel: 'security',
      network: 'none',
    },
  };
}

function select(runtimes: readonly RuntimeDto[], language: string, version: string): RuntimeDto {
  const name = language.toLowerCase();
  const found = runtimes
    .filter(({ id, aliases }) => id === name || aliases.includes(name))
    .filter((runtime) => semver.satisfies(versionOf(runtime), version))
    .sort((one, other) => semver.rcompare(versionOf(one), versionOf(other)))[0];
  if (!found) throw new PistonRefusal(`${language}-${version} runtime is unknown`);
  return found;
}

/** The first file is the program, whatever its name: it goes where the runtime looks for it. */
function readFiles(files: readonly Fields[], contents: readonly string[], runtime: RuntimeDto): ExecutionJob['files'] {
  if (!files.some(({ encoding }) => encoding === undefined || encoding === 'utf8')) {
    throw new PistonRefusal('files must include at least one utf8 encoded file');
  }
  if (files.length > REQUEST_LIMITS.files) throw new PistonRefusal(`files must be at most ${REQUEST_LIMITS.files}`);
  const seen = new Set<string>();
  return files.map(({ name, encoding = 'utf8' }, index) => {
    if (name !== undefined && typeof name !== 'string')
      throw new PistonRefusal(`files[${index}].name must be a string`);
    if (!ENCODINGS.includes(encoding as Encoding)) {
      throw new PistonRefusal(`files[${index}].encoding must be utf8, base64 or hex`);
    }
    const path = index === 0 ? runtime.fileName : name || `file${index}.code`;
    const fault = pathFault(path) ?? (seen.has(path) ? 'is given twice' : null);
    if (fault) throw new PistonRefusal(`files[${index}].name ${fault}`);
    seen.add(path);
    const bytes = Buffer.from(contents[index], encoding as Encoding);
    if (bytes.length > REQUEST_LIMITS.fileBytes) throw new PistonRefusal(`files[${index}].content is too long`);
    return { path, base64: bytes.toString('base64') };
  });
}

function readArguments(args: unknown): string[] {
  if (args === undefined || args === null) return [];
  if (!Array.isArray(args) || args.length > REQUEST_LIMITS.arguments) throw new PistonRefusal('args must be an array');
  return args.map((word: unknown) => {
    const text = String(word);
    if (text.includes('\0') || text.length > REQUEST_LIMITS.argumentBytes)
      throw new PistonRefusal('args must be words');
    return text;
  });
}

/** A newline is added to what does not end in one. */
function readStdin(stdin: unknown): string {
  if (stdin === undefined || stdin === null || stdin === '') return '';
  if (typeof stdin !== 'string') throw new PistonRefusal('If specified, stdin must be a string');
  if (stdin.length > REQUEST_LIMITS.stdinBytes) throw new PistonRefusal('stdin is too long');
  return stdin.endsWith('\n') ? stdin : `${stdin}\n`;
}

/** -1 and 0 ask for the default: there are no runs without limits. */
function readLimits(fields: Fields, stage: 'run' | 'compile', milliseconds: number): ExecutionLimits {
  const limits: Partial<ExecutionLimits> = { wallTimeMs: milliseconds, cpuTimeMs: milliseconds };
  const asked: readonly [string, LimitName][] = [
    [`${stage}_timeout`, 'wallTimeMs'],
    [`${stage}_cpu_time`, 'cpuTimeMs'],
    [`${stage}_memory_limit`, 'memoryBytes'],
  ];
  for (const [field, name] of asked) {
    const value = fields[field];
    if (value === undefined || value === null || value === 0 || value === -1) continue;
    if (typeof value !== 'number') throw new PistonRefusal(`If specified, ${field} must be a number`);
    const { minimum, maximum } = LIMITS[name];
    if (value < 0) throw new PistonRefusal(`${field} must be non-negative`);
    if (value > maximum) throw new PistonRefusal(`${field} cannot exceed the configured limit of ${maximum}`);
    limits[name] = Math.max(minimum, Math.floor(value));
  }
  return limitsOf(limits);
}
