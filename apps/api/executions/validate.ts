import {
  CreateExecutionDto,
  type ExecutionJob,
  type ExecutionLimits,
  type FileDto,
  LIMITS,
  type LimitName,
  type Priority,
  type ProblemError,
  REQUEST_LIMITS,
  type RuntimeDto,
  type TimelineStart,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import { CLOCK_ID, monotonic } from '@cordon/queue';
import { ProblemException } from '../http/problem.js';
import { escapePointer, validateDto } from '../http/validate-dto.js';
import type { Destinations } from '../webhooks/destination.js';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function bytesOf(
  text: string,
  encoding: 'utf8' | 'base64' | undefined,
  pointer: string,
  errors: ProblemError[],
): Buffer {
  if (encoding !== 'base64') return Buffer.from(text, 'utf8');
  if (!BASE64.test(text)) errors.push({ pointer, detail: 'not valid base64' });
  return Buffer.from(text, 'base64');
}

/** Why a relative path may not be used; null when it may. */
export function pathFault(path: string): string | null {
  if (path.includes('\0')) return 'contains NUL';
  if (path.startsWith('/')) return 'must be relative to the work directory';
  if (path.endsWith('/')) return 'must name a file';
  const parts = path.split('/');
  if (parts.includes('..')) return 'leaves the work directory';
  if (parts.includes('') || parts.includes('.')) return 'has an empty or "." component';
  if (parts.some((part) => Buffer.byteLength(part) > 255)) return 'has a component over 255 bytes';
  return null;
}

/** `place`: pointer to the object that has them. */
export function checkFiles(
  given: readonly FileDto[] | undefined,
  place: string,
  errors: ProblemError[],
): ExecutionJob['files'] {
  const seen = new Set<string>();
  const files: { path: string; base64: string }[] = [];
  let total = 0;
  for (const [index, { path, content, encoding }] of (given ?? []).entries()) {
    const fault = pathFault(path) ?? (seen.has(path) ? 'given twice' : null);
    if (fault) errors.push({ pointer: `${place}/files/${index}/path`, detail: fault });
    seen.add(path);
    const bytes = bytesOf(content, encoding, `${place}/files/${index}/content`, errors);
    total += bytes.length;
    if (bytes.length > REQUEST_LIMITS.fileBytes) {
      errors.push({ pointer: `${place}/files/${index}/content`, detail: `over ${REQUEST_LIMITS.fileBytes} bytes` });
    }
    files.push({ path, base64: bytes.toString('base64') });
  }
  for (const path of seen) {
    const parent = [...seen].find((other) => other !== path && path.startsWith(`${other}/`));
    if (parent) errors.push({ pointer: `${place}/files`, detail: `"${parent}" is both a file and a directory` });
  }
  if (total > REQUEST_LIMITS.filesBytes)
    errors.push({ pointer: `${place}/files`, detail: `over ${REQUEST_LIMITS.filesBytes} bytes together` });
  return files;
}

/** A map of strings: names that match, values that are strings without NUL. */
export function checkMap(
  map: Record<string, string> | undefined,
  pointer: string,
  most: number,
  name: RegExp,
  errors: ProblemError[],
): Record<string, string> {
  const entries = Object.entries(map ?? {});
  if (entries.length > most) errors.push({ pointer, detail: `more than ${most} entries` });
  for (const [key, value] of entries) {
    const place = `${pointer}/${escapePointer(key)}`;
    if (!name.test(key)) errors.push({ pointer: place, detail: 'not a valid name' });
    else if (typeof value !== 'string') errors.push({ pointer: place, detail: 'must be a string' });
    else if (value.includes('\0') || value.length > REQUEST_LIMITS.argumentBytes)
      errors.push({ pointer: place, detail: 'contains NUL or is too long' });
  }
  return Object.fromEntries(entries);
}

function checkProgram(
  dto: CreateExecutionDto,
  runtimes: readonly RuntimeDto[],
  errors: ProblemError[],
): RuntimeDto | null {
  if (dto.command !== undefined) {
    for (const field of ['runtime', 'source', 'args'] as const) {
      if (dto[field] !== undefined) errors.push({ pointer: `/${field}`, detail: 'not together with "command"' });
    }
    for (const [index, word] of dto.command.entries()) {
      if (word.includes('\0')) errors.push({ pointer: `/command/${index}`, detail: 'contains NUL' });
    }
    if (dto.command[0] === '') errors.push({ pointer: '/command/0', detail: 'must not be empty' });
    return null;
  }
  if (dto.runtime === undefined) {
    errors.push({ pointer: '', detail: 'give "runtime" and "source", or "command"' });
    return null;
  }
  const wanted = dto.runtime.toLowerCase();
  const runtime = runtimes.find(({ id, aliases }) => id === wanted || aliases.includes(wanted)) ?? null;
  if (!runtime) {
    const known = runtimes.map(({ id }) => id).join(', ') || 'none: no worker is there';
    throw new ProblemException('unknown-runtime', `there is: ${known}`, [
      { pointer: '/runtime', detail: `no runtime "${dto.runtime}"` },
    ]);
  }
  const givesMain = (dto.files ?? []).some(({ path }) => path === runtime.fileName);
  if (dto.source === undefined && !givesMain) {
    errors.push({ pointer: '/source', detail: `give "source", or a file "${runtime.fileName}"` });
  }
  if (dto.source !== undefined && givesMain)
    errors.push({ pointer: '/files', detail: `"${runtime.fileName}" is where "source" goes` });
  for (const [index, word] of (dto.args ?? []).entries()) {
    if (word.includes('\0')) errors.push({ pointer: `/args/${index}`, detail: 'contains NUL' });
  }
  return runtime;
}

function checkCwd(cwd: string | undefined, errors: ProblemError[]): string {
  if (cwd === undefined) return WORK_DIRECTORY;
  const absolute = cwd.startsWith('/') ? cwd : `${WORK_DIRECTORY}/${cwd}`;
  if (cwd.includes('\0') || absolute.split('/').includes('..'))
    errors.push({ pointer: '/cwd', detail: 'contains NUL or ".."' });
  return absolute.replace(/(?<=.)\/+$/, '');
}

/** What was asked for, the defaults for the rest. */
export function limitsOf(given: Partial<ExecutionLimits> | undefined): ExecutionLimits {
  const names = Object.keys(LIMITS) as LimitName[];
  return Object.fromEntries(names.map((name) => [name, given?.[name] ?? LIMITS[name].default])) as ExecutionLimits;
}

/** This moment, as the beginning of a timeline. */
export const acceptedNow = (): Pick<TimelineStart, 'accepted' | 'wall'> => ({
  accepted: monotonic(),
  wall: Date.now(),
});

/** A validated job. Throws ProblemException with every wrong field. */
export function validateExecution(
  body: unknown,
  id: string,
  runtimes: readonly RuntimeDto[],
  destinations: Destinations,
  accepted = acceptedNow(),
): { job: ExecutionJob; labels: Record<string, string>; priority: Priority; webhook: string | null } {
  const dto = validateDto(CreateExecutionDto, body);
  const errors: ProblemError[] = [];
  const runtime = checkProgram(dto, runtimes, errors);
  const stdin = bytesOf(dto.stdin ?? '', dto.stdinEncoding, '/stdin', errors);
  const files = checkFiles(dto.files, '', errors);
  const env = checkMap(dto.env, '/env', REQUEST_LIMITS.environment, /^[^=\0]+$/, errors);
  const labels = checkMap(dto.labels, '/labels', REQUEST_LIMITS.labels, /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/, errors);
  const cwd = checkCwd(dto.cwd, errors);
  const fault = dto.webhook ? destinations.fault(dto.webhook.url) : null;
  if (fault) errors.push({ pointer: '/webhook/url', detail: fault });
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors);
  const limits = limitsOf(dto.limits);
  const job: ExecutionJob = {
    id,
    runtime: runtime?.id ?? null,
    source: dto.source ?? null,
    command: dto.command ?? null,
    args: dto.args ?? [],
    files,
    stdin: stdin.toString('base64'),
    interactive: dto.interactive ?? false,
    env,
    cwd,
    limits,
    auditLevel: dto.audit?.level ?? 'security',
    network: dto.network ?? 'loopback',
    ...(dto.platform && dto.platform !== 'auto' ? { platform: dto.platform } : {}),
    ...(dto.timeline ? { timeline: { clock: CLOCK_ID, ...accepted, queued: monotonic() } } : {}),
  };
  const webhook = dto.webhook ? new URL(dto.webhook.url).href : null;
  return { job, labels, priority: dto.priority ?? 'interactive', webhook };
}
