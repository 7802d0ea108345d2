import { EACCES, EPERM } from '../abi/errno.js';
import { R_OK, W_OK, X_OK } from '../abi/fcntl.js';
import { S_IFDIR, S_IFMT, S_ISVTX } from '../abi/stat.js';
import type { Credentials, Inode } from './types.js';

export const CAP_CHOWN = 0;
export const CAP_DAC_OVERRIDE = 1;
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_FOWNER = 3;
export const CAP_FSETID = 4;

export function hasCapability(credentials: Credentials, capability: number): boolean {
  return (credentials.capabilities.effective[capability >> 5] & (1 << (capability & 31))) !== 0;
}

/** 0, or -EACCES: path_resolution(7) and capabilities(7). `mask` is of R_OK, W_OK, X_OK. */
export function checkAccess(inode: Inode, mask: number, credentials: Credentials): number {
  return checkAccessAs(inode, mask, credentials, credentials.fsuid, credentials.fsgid);
}

/** As another user: access(2) asks for the real one. */
export function checkAccessAs(inode: Inode, mask: number, credentials: Credentials, uid: number, gid: number): number {
  const { mode } = inode;
  // Granted to all: whoever it is.
  const all = mask | (mask << 3) | (mask << 6);
  if ((mode & all) === all) return 0;
  let granted = mode & 7;
  if (uid === inode.uid) granted = (mode >> 6) & 7;
  else if (gid === inode.gid || credentials.groups.includes(inode.gid)) granted = (mode >> 3) & 7;
  if ((granted & mask) === mask) return 0;
  const directory = (mode & S_IFMT) === S_IFDIR;
  if (hasCapability(credentials, CAP_DAC_OVERRIDE)) {
    if (directory || (mask & X_OK) === 0 || (mode & 0o111) !== 0) return 0;
  }
  if (hasCapability(credentials, CAP_DAC_READ_SEARCH)) {
    if (mask === R_OK || (directory && (mask & W_OK) === 0)) return 0;
  }
  return -EACCES;
}

/** May the caller remove or rename `child` out of `directory`? W+X on it, and the sticky bit's rule. */
export function checkRemoval(directory: Inode, child: Inode, credentials: Credentials): number {
  const result = checkAccess(directory, W_OK | X_OK, credentials);
  if (result !== 0) return result;
  if ((directory.mode & S_ISVTX) === 0) return 0;
  if (credentials.fsuid === child.uid || credentials.fsuid === directory.uid) return 0;
  return hasCapability(credentials, CAP_FOWNER) ? 0 : -EPERM;
}

/** Owner-only changes (chmod, utimes to a given time). */
export function isOwner(inode: Inode, credentials: Credentials): boolean {
  return credentials.fsuid === inode.uid || hasCapability(credentials, CAP_FOWNER);
}
