import { ALL_CAPABILITIES, FS_CAPABILITIES } from '../abi/capability.js';
import type { Credentials } from '../vfs/types.js';

/** Credentials of the first process: root has every capability, within the sandbox; others none. */
export function newCredentials(uid: number, gid: number, groups: readonly number[]): Credentials {
  const held = (): number[] => (uid === 0 ? [...ALL_CAPABILITIES] : [0, 0]);
  return {
    uid,
    gid,
    euid: uid,
    egid: gid,
    suid: uid,
    sgid: gid,
    fsuid: uid,
    fsgid: gid,
    groups: [...groups],
    capabilities: {
      effective: held(),
      permitted: held(),
      inheritable: [0, 0],
      bounding: [...ALL_CAPABILITIES],
      ambient: [0, 0],
    },
    noNewPrivs: false,
    landlock: null,
  };
}

/** Credentials are changed in place by their thread only, so each thread has a copy of its own. */
export function copyCredentials(from: Credentials): Credentials {
  const sets = from.capabilities;
  return {
    ...from,
    groups: [...from.groups],
    capabilities: {
      effective: [...sets.effective],
      permitted: [...sets.permitted],
      inheritable: [...sets.inheritable],
      bounding: [...sets.bounding],
      ambient: [...sets.ambient],
    },
  };
}

function clear(set: number[]): void {
  set[0] = 0;
  set[1] = 0;
}

function assign(set: number[], from: readonly number[]): void {
  set[0] = from[0];
  set[1] = from[1];
}

/**
 * What setuid-like calls do to the capabilities (capabilities(7), "Effect of user ID changes"). `old*` are the ids
 * before the change. The effective set is dropped by leaving root as effective user, permitted by leaving it altogether.
 */
export function fixCapabilitiesAfterSetuid(
  credentials: Credentials,
  oldUid: number,
  oldEuid: number,
  oldSuid: number,
  keepCapabilities: boolean,
): void {
  const { uid, euid, suid, capabilities } = credentials;
  const wasRoot = oldUid === 0 || oldEuid === 0 || oldSuid === 0;
  const isRoot = uid === 0 || euid === 0 || suid === 0;
  if (wasRoot && !isRoot) {
    if (!keepCapabilities) {
      clear(capabilities.permitted);
      clear(capabilities.effective);
    }
    clear(capabilities.ambient);
  }
  if (oldEuid === 0 && euid !== 0) clear(capabilities.effective);
  if (oldEuid !== 0 && euid === 0) assign(capabilities.effective, capabilities.permitted);
}

/** setfsuid(2): the file capabilities follow the file system user. */
export function fixCapabilitiesAfterSetfsuid(credentials: Credentials, oldFsuid: number): void {
  const { effective, permitted } = credentials.capabilities;
  for (let half = 0; half < 2; half++) {
    if (oldFsuid === 0 && credentials.fsuid !== 0) effective[half] &= ~FS_CAPABILITIES[half];
    if (oldFsuid !== 0 && credentials.fsuid === 0) effective[half] |= FS_CAPABILITIES[half] & permitted[half];
  }
}

/** Whether `from` may signal a process with `target`'s credentials (kill(2)); CAP_KILL is the caller's to check. */
export function mayKill(from: Credentials, target: Credentials): boolean {
  return from.euid === target.suid || from.euid === target.uid || from.uid === target.suid || from.uid === target.uid;
}
