import { PeerRefusal, ProblemException, toProblem } from '../../http/problem.js';
import { LinkBroken, LinkRefused } from '../../sandboxes/worker-link.js';

/** What OpenSandbox's clients are told: a status of HTTP, and a code that is a word. */
export class OpenSandboxError extends PeerRefusal {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

export const NOT_FOUND = 'DOCKER::SANDBOX_NOT_FOUND';

export const invalid = (message: string): OpenSandboxError =>
  new OpenSandboxError(400, 'INVALID_REQUEST_BODY', message);
export const unavailable = (what: string): OpenSandboxError =>
  new OpenSandboxError(501, 'NOT_IMPLEMENTED', `${what}: not implemented here`);
export const noSandbox = (id: string): OpenSandboxError =>
  new OpenSandboxError(404, NOT_FOUND, `Sandbox ${id} not found`);

/** Of the guest's file system: what its absence or its fullness is to a client. */
const BY_ERRNO: Readonly<Record<string, readonly [number, string]>> = {
  ENOENT: [404, 'FILE_NOT_FOUND'],
  ESRCH: [404, 'FILE_NOT_FOUND'],
  ENOSPC: [507, 'RUNTIME_ERROR'],
  ENOMEM: [507, 'RUNTIME_ERROR'],
  EAGAIN: [503, 'RUNTIME_ERROR'],
};
const BY_STATUS: Readonly<Record<number, string>> = {
  400: 'INVALID_REQUEST_BODY',
  401: 'INVALID_API_KEY',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  413: 'INVALID_REQUEST_BODY',
  415: 'INVALID_REQUEST_BODY',
  422: 'INVALID_REQUEST_BODY',
  429: 'TOO_MANY_REQUESTS',
  500: 'UNKNOWN',
  502: 'RUNTIME_ERROR',
  503: 'SERVICE_UNAVAILABLE',
};

function ofErrno(errno: string): OpenSandboxError {
  const [status, code] = BY_ERRNO[errno] ?? [400, 'INVALID_FILE'];
  return new OpenSandboxError(status, code, errno);
}

/** Whatever failed, as OpenSandbox would put it. */
export function toOpenSandboxError(error: unknown): OpenSandboxError {
  if (error instanceof OpenSandboxError) return error;
  if (error instanceof LinkBroken) return new OpenSandboxError(404, NOT_FOUND, 'the sandbox was not found');
  if (error instanceof LinkRefused) {
    const { errno, process } = error.refusal;
    if (errno !== undefined) return ofErrno(errno);
    if (process !== undefined) return new OpenSandboxError(404, 'INVALID_REQUEST_BODY', 'command not found');
    return new OpenSandboxError(404, NOT_FOUND, 'the sandbox was not found');
  }
  const { status, title, detail, errors, type } = toProblem(error);
  if (type.endsWith(':sandbox-refused')) return ofErrno(detail ?? '');
  if (status === 410) return new OpenSandboxError(404, NOT_FOUND, `the sandbox has ended: ${detail ?? title}`);
  const fields = (errors ?? []).map(({ pointer, detail: what }) => `${pointer} ${what}`).join('; ');
  const retryAfter = error instanceof ProblemException ? error.retryAfter : undefined;
  return new OpenSandboxError(
    status === 422 ? 400 : status,
    BY_STATUS[status] ?? 'UNKNOWN',
    fields || (detail ?? title),
    retryAfter,
  );
}
