import { EACCES } from '../abi/errno.js';
import { X_OK } from '../abi/fcntl.js';
import { S_IFMT, S_IFREG } from '../abi/stat.js';
import { resolve, type Walker } from '../vfs/path-walk.js';
import { checkAccess } from '../vfs/permissions.js';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** execvp(3): a name without a slash is looked for in PATH. What is not found stays as it is: the load fails with ENOENT. */
export function findProgram(caller: Walker, name: string, envp: readonly string[]): string {
  if (name.includes('/')) return name;
  const path = envp.find((entry) => entry.startsWith('PATH='))?.slice(5) ?? DEFAULT_PATH;
  let denied = '';
  for (const directory of path.split(':')) {
    const candidate = `${directory || '.'}/${name}`;
    const place = resolve(caller, null, candidate, true);
    if (typeof place === 'number') {
      if (place === -EACCES) denied ||= candidate;
      continue;
    }
    if ((place.inode.mode & S_IFMT) !== S_IFREG) continue;
    if (checkAccess(place.inode, X_OK, caller.credentials) === 0) return candidate;
    denied ||= candidate;
  }
  return denied || name;
}
