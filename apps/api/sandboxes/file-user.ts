import { ProblemException } from '../http/problem.js';

/** Whose permissions hold, and whose the files are that are made: a query parameter of requests about files. */
export const USER = {
  name: 'user',
  required: false,
  description: 'Whose permissions hold, and whose new files are; root: of the sandbox only',
  schema: { type: 'string', enum: ['user', 'root'], default: 'user' },
} as const;

/** Throws ProblemException for other users than these two. */
export function isRoot(user: unknown): boolean {
  if (user === undefined || user === 'user') return false;
  if (user === 'root') return true;
  throw new ProblemException('invalid-request', undefined, [{ pointer: '?user', detail: 'user or root' }]);
}
