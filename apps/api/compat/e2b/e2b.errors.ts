import { PeerRefusal, ProblemException, toProblem } from '../../http/problem.js';
import { LinkBroken, LinkRefused } from '../../sandboxes/worker-link.js';

/** Connect's error codes (connectrpc.com/docs/protocol), with the HTTP status that each has in a unary call. */
export const CONNECT_STATUS = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  failed_precondition: 400,
  resource_exhausted: 429,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  deadline_exceeded: 504,
} as const;
export type ConnectCode = keyof typeof CONNECT_STATUS;

/** What E2B's clients are told: a code of Connect, a status of HTTP. */
export class E2bError extends PeerRefusal {
  readonly status: number;
  constructor(
    readonly code: ConnectCode,
    message: string,
    status?: number,
  ) {
    super(message);
    this.status = status ?? CONNECT_STATUS[code];
  }
}

const BY_ERRNO: Readonly<Record<string, ConnectCode>> = {
  ENOENT: 'not_found',
  ESRCH: 'not_found',
  EEXIST: 'already_exists',
  EACCES: 'permission_denied',
  EPERM: 'permission_denied',
  ENOSPC: 'resource_exhausted',
  EAGAIN: 'resource_exhausted',
  ENOMEM: 'resource_exhausted',
};
const BY_STATUS: Readonly<Record<number, ConnectCode>> = {
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  413: 'invalid_argument',
  422: 'invalid_argument',
  429: 'resource_exhausted',
  500: 'internal',
  503: 'unavailable',
};
/** A sandbox that is not there is a bad gateway to who speaks with what is inside. */
const GONE = 502;

const gone = (): E2bError => new E2bError('unavailable', 'the sandbox was not found', GONE);

function ofErrno(errno: string): E2bError {
  return new E2bError(BY_ERRNO[errno] ?? 'invalid_argument', errno, errno === 'ENOSPC' ? 507 : undefined);
}

/** Whatever failed, as E2B would put it. */
export function toE2bError(error: unknown): E2bError {
  if (error instanceof E2bError) return error;
  if (error instanceof LinkBroken) return gone();
  if (error instanceof LinkRefused) {
    const { errno, process } = error.refusal;
    if (errno !== undefined) return ofErrno(errno);
    return process === undefined ? gone() : new E2bError('not_found', 'no such process');
  }
  const { status, title, detail, type } = toProblem(error);
  const errno = type.endsWith(':sandbox-refused') ? (detail ?? '') : null;
  if (errno !== null) return ofErrno(errno);
  if (status === 410) return gone();
  // Nobody listens on a port.
  if (status === GONE) return new E2bError('unavailable', detail ?? title, GONE);
  const code = BY_STATUS[status] ?? 'internal';
  return new E2bError(code, error instanceof ProblemException ? (detail ?? title) : title);
}
