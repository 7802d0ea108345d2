import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';

/** A field that is wrong: RFC 6901 pointer into the body, or `?name` for the query. */
export class ProblemError {
  @ApiProperty({ example: '/limits/wallTimeMs' }) readonly pointer!: string;
  @ApiProperty() readonly detail!: string;
}

/** RFC 9457 problem details. */
export class Problem {
  @ApiProperty({ example: 'urn:cordon:problem:invalid-request', description: 'Stable: programs may rely on it' })
  readonly type!: string;
  @ApiProperty() readonly title!: string;
  @ApiProperty({ type: 'integer' }) readonly status!: number;
  @ApiPropertyOptional() readonly detail?: string;
  @ApiPropertyOptional() readonly instance?: string;
  @ApiPropertyOptional({ type: [ProblemError] }) readonly errors?: readonly ProblemError[];
}

/** Stable types by name: documented, never changed. */
export const PROBLEMS = {
  'malformed-request': { status: 400, title: 'This is not a valid HTTP request' },
  'malformed-json': { status: 400, title: 'The body is not valid JSON' },
  'invalid-request': { status: 422, title: 'The request is not valid' },
  'unknown-runtime': { status: 422, title: 'No such runtime' },
  unauthorized: { status: 401, title: 'A valid API key is needed' },
  forbidden: { status: 403, title: 'This key may not do that' },
  'not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'This method is not allowed here' },
  'payload-too-large': { status: 413, title: 'The body is too large' },
  'expectation-failed': { status: 417, title: 'What the Expect header asks for is not done here' },
  'unsupported-media-type': { status: 415, title: 'The body is of another type than is taken here' },
  'request-timeout': { status: 408, title: 'The request took too long to arrive' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  'upgrade-required': { status: 426, title: 'This is a WebSocket' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  'quota-exceeded': { status: 429, title: 'The quota of this key is used up' },
  'sandbox-limit': { status: 429, title: 'This key has as many sandboxes as it may' },
  conflict: { status: 409, title: 'Conflict' },
  'sandbox-ended': { status: 410, title: 'The sandbox has ended' },
  'sandbox-refused': { status: 409, title: 'The sandbox refused it' },
  'port-unreachable': { status: 502, title: 'Nothing in the sandbox answers there' },
  'queue-full': { status: 503, title: 'The queue is full' },
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
