import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { E2BIG, EBADF, EBADFD, EFAULT, EINVAL, ENOMEM, ENOMSG, EPERM } from '../../abi/errno.js';
import * as L from '../../abi/landlock.js';
import { LandlockRuleset, rulesInOpenRulesets } from '../../fs/anon/landlock.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { AnonymousInode } from '../../vfs/anonymous-file.js';
import { LandlockDomain } from '../../vfs/landlock.js';
import { isDirectory } from '../../vfs/path-walk.js';
import { installFile } from '../event/support.js';

/** Rules of one ruleset: more than any program gives, few enough to be kept. */
const RULES_MAX = 65536;
/** Rules of all rulesets and domains together: they are the kernel's own memory. */
const ALL_RULES_MAX = 262_144;
const ATTR_MAX = 4096;

const u64 = (view: DataView, offset: number): number =>
  view.getUint32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);

/** Whether so many rules more are too many. Domains that share layers count each for itself, those of zombies, too. */
function tooManyRules(kernel: Kernel, more: number): boolean {
  let total = rulesInOpenRulesets() + more;
  const seen = new Set<LandlockDomain>();
  for (const { credentials } of kernel.tasks.values()) {
    const { landlock } = credentials;
    if (landlock === null || seen.has(landlock)) continue;
    seen.add(landlock);
    total += landlock.size;
  }
  return total > ALL_RULES_MAX;
}

/** landlock_create_ruleset implements Linux syscall landlock_create_ruleset(2), ABI 1. */
export function landlockCreateRuleset(task: Task, args: SyscallArguments): number {
  const [address, size, flags] = args;
  if (flags !== 0) {
    return flags === L.LANDLOCK_CREATE_RULESET_VERSION && address === 0 && size === 0 ? L.LANDLOCK_ABI : -EINVAL;
  }
  if (size >= 0 && size < L.RULESET_ATTR_BYTES) return -EINVAL;
  if (size < 0 || size > ATTR_MAX) return -E2BIG;
  const view = task.memory.readStruct(address, size);
  if (view === null) return -EFAULT;
  for (let offset = L.RULESET_ATTR_BYTES; offset < size; offset++) if (view.getUint8(offset) !== 0) return -E2BIG;
  const handled = u64(view, 0);
  if (handled > L.FS_ALL) return -EINVAL;
  return handled === 0 ? -ENOMSG : installFile(task, new LandlockRuleset(handled), true);
}

function rulesetOf(task: Task, fd: number): LandlockRuleset | number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  return file instanceof LandlockRuleset ? file : -EBADFD;
}

/** landlock_add_rule implements Linux syscall landlock_add_rule(2): LANDLOCK_RULE_PATH_BENEATH. */
export function landlockAddRule(task: Task, args: SyscallArguments): number {
  if ((args[3] | 0) !== 0) return -EINVAL;
  const ruleset = rulesetOf(task, args[0] | 0);
  if (typeof ruleset === 'number') return ruleset;
  if ((args[1] | 0) !== L.LANDLOCK_RULE_PATH_BENEATH) return -EINVAL;
  const view = task.memory.readStruct(args[2], L.PATH_BENEATH_ATTR_BYTES);
  if (view === null) return -EFAULT;
  const allowed = u64(view, 0);
  if (allowed === 0) return -ENOMSG;
  if (allowed > L.FS_ALL || allowed & ~ruleset.handled) return -EINVAL;
  const file = task.files.get(view.getInt32(8, true));
  if (!file) return -EBADF;
  const { inode } = file;
  if (inode instanceof AnonymousInode) return -EBADFD;
  if (!isDirectory(inode) && allowed & ~L.FS_OF_FILES) return -EINVAL;
  if (!ruleset.rules.has(inode)) {
    if (ruleset.rules.size >= RULES_MAX) return -E2BIG;
    if (tooManyRules(task.kernel, 1)) return -ENOMEM;
  }
  ruleset.give(inode, allowed);
  return 0;
}

/** landlock_restrict_self implements Linux syscall landlock_restrict_self(2): the calling thread and what comes of it. */
export function landlockRestrictSelf(task: Task, args: SyscallArguments): number {
  const { credentials, kernel } = task;
  if (!credentials.noNewPrivs && !task.capable(CAP_SYS_ADMIN)) return -EPERM;
  if ((args[1] | 0) !== 0) return -EINVAL;
  const ruleset = rulesetOf(task, args[0] | 0);
  if (typeof ruleset === 'number') return ruleset;
  const domain = credentials.landlock ?? new LandlockDomain(kernel.rootMount, []);
  if (domain.layers.length >= L.LANDLOCK_LAYERS_MAX) return -E2BIG;
  if (tooManyRules(kernel, domain.size + ruleset.rules.size)) return -ENOMEM;
  credentials.landlock = domain.extend({ handled: ruleset.handled, rules: new Map(ruleset.rules) });
  return 0;
}
