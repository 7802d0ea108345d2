import { CAP_SETUID } from '../abi/capability.js';
import { S_ISGID, S_ISUID } from '../abi/stat.js';
import type { Credentials } from '../vfs/types.js';
import { copyCredentials } from './credentials.js';

const S_IXGRP = 0o010;

/** What of a program file decides whose rights it runs with. */
export interface ProgramFile {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** It lies on a file system mounted nosuid. */
  readonly noSetId: boolean;
}

export interface ExecCredentials {
  readonly credentials: Credentials;
  /** AT_SECURE: the program has rights that its caller may not have, and must not trust its environment. */
  readonly secure: boolean;
}

function clear(set: number[]): void {
  set[0] = 0;
  set[1] = 0;
}

/** Set-user-ID and set-group-ID bits (Linux's bprm_fill_uid). Group without execution is a mark of mandatory locks of old. */
function applySetIds(credentials: Credentials, file: ProgramFile): void {
  if (file.noSetId || credentials.noNewPrivs) return;
  if (file.mode & S_ISUID) credentials.euid = file.uid;
  if ((file.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) credentials.egid = file.gid;
}

function isInGroup(credentials: Credentials, gid: number): boolean {
  return gid === credentials.fsgid || credentials.groups.includes(gid);
}

/**
 * The credentials of a program after execve(2) (capabilities(7), "Transformation of capabilities during execve"; Linux's
 * cap_bprm_creds_from_file): its file has no capabilities, only set-user-ID bits. `unsafe`: others could
 * meddle with a program with new rights (they share the caller's root and working directory, or trace it), so it gets none.
 */
export function credentialsForExec(old: Credentials, file: ProgramFile, unsafe: boolean): ExecCredentials {
  const credentials = copyCredentials(old);
  applySetIds(credentials, file);
  const { effective, permitted, inheritable, bounding, ambient } = credentials.capabilities;
  const before = [...permitted];
  const root = credentials.euid === 0 || credentials.uid === 0;
  for (let half = 0; half < 2; half++) permitted[half] = root ? inheritable[half] | bounding[half] : 0;
  let rootIsEffective = credentials.euid === 0;
  const isChanged = credentials.euid !== old.euid || !isInGroup(old, credentials.egid);
  const isSetId = isChanged || credentials.euid !== old.uid || credentials.egid !== old.gid;
  const gains = (permitted[0] & ~before[0]) !== 0 || (permitted[1] & ~before[1]) !== 0;
  if ((isChanged || gains) && (unsafe || old.noNewPrivs)) {
    if (old.noNewPrivs || !(old.capabilities.effective[0] & (1 << CAP_SETUID))) {
      credentials.euid = credentials.uid;
      credentials.egid = credentials.gid;
      rootIsEffective = credentials.euid === 0;
    }
    for (let half = 0; half < 2; half++) permitted[half] &= before[half];
  }
  if (isSetId) clear(ambient);
  for (let half = 0; half < 2; half++) {
    permitted[half] |= ambient[half];
    effective[half] = rootIsEffective ? permitted[half] : ambient[half];
  }
  credentials.suid = credentials.euid;
  credentials.sgid = credentials.egid;
  credentials.fsuid = credentials.euid;
  credentials.fsgid = credentials.egid;
  const grew = (permitted[0] & ~ambient[0]) !== 0 || (permitted[1] & ~ambient[1]) !== 0;
  return { credentials, secure: isSetId || (credentials.uid !== 0 && (rootIsEffective || grew)) };
}
