import { WORK_DIRECTORY } from '@cordon/contracts';
import { invalid, OpenSandboxError } from './opensandbox.errors.js';

const PATH_BYTES = 4095;
const HOME = '/root';

/** Absolute; what is relative is below the directory that commands begin in. */
export function guestPath(path: unknown): string {
  if (path === null || path === undefined || path === '')
    throw new OpenSandboxError(400, 'MISSING_QUERY', "missing query parameter 'path'");
  if (typeof path !== 'string' || path.includes('\0') || Buffer.byteLength(path) > PATH_BYTES)
    throw invalid('a path must be a string without NUL, not too long');
  const whole = path === '~' || path.startsWith('~/') ? HOME + path.slice(1) : path;
  const absolute = whole.startsWith('/') ? whole : `${WORK_DIRECTORY}/${whole}`;
  return absolute.length > 1 ? absolute.replace(/\/+$/, '') || '/' : absolute;
}
