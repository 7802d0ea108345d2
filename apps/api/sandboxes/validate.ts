import {
  CreateSandboxDto,
  ExecDto,
  type ProblemError,
  REQUEST_LIMITS,
  SANDBOX_LIMITS,
  SANDBOX_TIMES,
  type SandboxDto,
  type SandboxLimitName,
  type SandboxLimits,
  type StartProcess,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import { checkMap } from '../executions/validate.js';
import { ProblemException } from '../http/problem.js';
import { validateDto } from '../http/validate-dto.js';

const ENV_NAME = /^[^=\0]+$/;
const LABEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;
const PATH_BYTES = 4095;

/** A new sandbox from a body; one that is absent wants nothing special. Throws ProblemException with every wrong field. */
export function validateSandbox(body: unknown, id: string): { sandbox: SandboxDto; env: Record<string, string> } {
  const dto = validateDto(CreateSandboxDto, body === undefined ? {} : body);
  const errors: ProblemError[] = [];
  const env = checkMap(dto.env, '/env', REQUEST_LIMITS.environment, ENV_NAME, errors);
  const labels = checkMap(dto.labels, '/labels', REQUEST_LIMITS.labels, LABEL_NAME, errors);
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors);
  const limits = Object.fromEntries(
    (Object.keys(SANDBOX_LIMITS) as SandboxLimitName[]).map((name) => [
      name,
      dto.limits?.[name] ?? SANDBOX_LIMITS[name].default,
    ]),
  ) as SandboxLimits;
  const now = Date.now();
  const sandbox: SandboxDto = {
    id,
    state: 'running',
    endReason: null,
    usage: null,
    limits,
    createdAt: new Date(now).toISOString(),
    expiresAt: new Date(now + (dto.ttlSeconds ?? SANDBOX_TIMES.ttlSeconds.default) * 1000).toISOString(),
    idleSeconds: dto.idleSeconds ?? SANDBOX_TIMES.idleSeconds.default,
    network: dto.network ?? 'loopback',
    auditLevel: dto.audit?.level ?? 'security',
    platform: dto.platform ?? 'auto',
    labels,
  };
  return { sandbox, env };
}

export interface Exec {
  readonly start: StartProcess;
  /** Null: none. */
  readonly stdin: string | null;
  readonly openStdin: boolean;
}

/** What to start, from the body of an exec. Throws ProblemException. */
export function validateExec(body: unknown): Exec {
  const dto = validateDto(ExecDto, body);
  const errors: ProblemError[] = [];
  const env = checkMap(dto.env, '/env', REQUEST_LIMITS.environment, ENV_NAME, errors);
  for (const [index, word] of dto.command.entries()) {
    if (word.includes('\0')) errors.push({ pointer: `/command/${index}`, detail: 'contains NUL' });
  }
  if (dto.command[0] === '') errors.push({ pointer: '/command/0', detail: 'must not be empty' });
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors);
  const openStdin = dto.openStdin ?? false;
  const start: StartProcess = {
    argv: dto.command,
    env: dto.terminal ? terminalEnvironment(env) : env,
    cwd: dto.cwd === undefined ? WORK_DIRECTORY : absolutePath(dto.cwd, '/cwd'),
    root: dto.user === 'root',
    stdin: openStdin || dto.stdin !== undefined,
    terminal: dto.terminal ? { rows: dto.terminal.rows, columns: dto.terminal.columns } : false,
    timeoutMs: dto.timeoutMs ?? null,
    background: dto.background ?? false,
  };
  return { start, stdin: dto.stdin ?? null, openStdin };
}

/** Programs on a terminal want to know its kind. */
export function terminalEnvironment(env: Record<string, string>): Record<string, string> {
  return { TERM: 'xterm-256color', ...env };
}

/** A path inside the sandbox, absolute. Throws ProblemException; `pointer` says where it came from. */
export function absolutePath(path: unknown, pointer: string): string {
  const refuse = (detail: string): never => {
    throw new ProblemException('invalid-request', undefined, [{ pointer, detail }]);
  };
  if (typeof path !== 'string' || path === '') return refuse('give one path');
  if (path.includes('\0')) return refuse('contains NUL');
  if (Buffer.byteLength(path) > PATH_BYTES) return refuse(`over ${PATH_BYTES} bytes`);
  return path.startsWith('/') ? path : `${WORK_DIRECTORY}/${path}`;
}
