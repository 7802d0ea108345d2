/** RFC 9457 problem details, with a pointer (RFC 6901) to each field that is wrong. */
export interface ProblemError {
  readonly pointer: string;
  readonly detail: string;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly instance?: string;
  readonly errors?: readonly ProblemError[];
}

/** Stable types by name: documented, never changed. */
export const PROBLEMS = {
  'malformed-json': { status: 400, title: 'The body is not valid JSON' },
  'invalid-request': { status: 422, title: 'The request is not valid' },
  'unknown-runtime': { status: 422, title: 'No such runtime' },
  unauthorized: { status: 401, title: 'A valid API key is needed' },
  'not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'This method is not allowed here' },
  'payload-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be JSON' },
  conflict: { status: 409, title: 'Conflict' },
  unavailable: { status: 503, title: 'The service is not available' },
  internal: { status: 500, title: 'Internal error' },
} as const;
export type ProblemType = keyof typeof PROBLEMS;

export function problem(type: ProblemType, detail?: string, errors?: readonly ProblemError[]): Problem {
  const { status, title } = PROBLEMS[type];
  return {
    type: `urn:cordon:problem:${type}`,
    title,
    status,
    ...(detail ? { detail } : {}),
    ...(errors ? { errors } : {}),
  };
}
