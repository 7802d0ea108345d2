import type { IncomingMessage } from 'node:http';
import { E2bError } from './e2b.errors.js';
import { HOME } from './e2b.service.js';

/** Who something is done as inside the sandbox. */
export interface GuestUser {
  readonly name: 'user' | 'root';
  readonly root: boolean;
  readonly home: string;
}

export function guestUser(name: string): GuestUser {
  if (name === '' || name === 'user') return { name: 'user', root: false, home: HOME };
  if (name === 'root') return { name: 'root', root: true, home: '/root' };
  throw new E2bError('unauthenticated', `invalid username: '${name}'`);
}

/** As the call says: HTTP's basic authentication with a name and no password. */
export function userOf(request: IncomingMessage): GuestUser {
  const given = /^Basic +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  return guestUser(given ? Buffer.from(given, 'base64').toString('utf8').split(':')[0] : '');
}

const PATH_BYTES = 4095;

/** Absolute; what is relative is below the user's home. */
export function guestPath(path: unknown, { home }: GuestUser): string {
  if (typeof path !== 'string' || path.includes('\0') || Buffer.byteLength(path) > PATH_BYTES)
    throw new E2bError('invalid_argument', 'the path is none');
  if (path === '~' || path.startsWith('~/')) return home + path.slice(1);
  return path.startsWith('/') ? path : `${home}/${path}`.replace(/\/+$/, '');
}
