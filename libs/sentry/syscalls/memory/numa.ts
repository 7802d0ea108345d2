/** NUMA calls as on a machine with one node: policies are checked and remembered, and all memory is on node 0. */
import { CAP_SYS_NICE } from '../../abi/capability.js';
import { E2BIG, EFAULT, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/errno.js';
import * as POLICY from '../../abi/mempolicy.js';
import { mayInspect } from '../../kernel/access.js';
import { RunState } from '../../kernel/run-state.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { PAGE_SIZE } from '../../platform/platform.js';

/** Bits of a node mask that a call may name: a page of them. */
const MASK_BITS = PAGE_SIZE * 8;

/** Node sets of a machine with one node. */
type Nodes = 'none' | 'node 0';

/** Reads a node mask of `bits` - 1 bits (Linux's get_nodes). -EINVAL: nodes that no machine has, or this one has not; -EFAULT. */
function readNodes(task: Task, address: number, bits: number): Nodes | number {
  const count = bits - 1;
  if (count <= 0 || address === 0) return 'none';
  if (count > MASK_BITS) return -EINVAL;
  let found: Nodes = 'none';
  let beyond = false;
  for (let at = 0; at < count; at += 64) {
    const low = task.memory.readU32(address + at / 8);
    const high = task.memory.readU32(address + at / 8 + 4);
    if (Number.isNaN(low) || Number.isNaN(high)) return -EFAULT;
    const left = count - at;
    const wanted = [
      left >= 32 ? low : low & (2 ** left - 1),
      left >= 64 ? high : left > 32 ? high & (2 ** (left - 32) - 1) : 0,
    ];
    if (at >= POLICY.MAX_NUMNODES && (wanted[0] !== 0 || wanted[1] !== 0)) return -EINVAL;
    if (at === 0 && wanted[0] & 1) found = 'node 0';
    if ((at === 0 ? wanted[0] & ~1 : wanted[0]) !== 0 || wanted[1] !== 0) beyond = true;
  }
  // Nodes that are not there are left out, unless nothing remains.
  return beyond && found === 'none' ? -EINVAL : found;
}

/** Mode with flags and nodes as mpol_new takes them: what to remember, or -EINVAL. */
function checkPolicy(mode: number, nodes: Nodes): number {
  const flags = mode & POLICY.MPOL_MODE_FLAGS;
  const kind = mode & ~POLICY.MPOL_MODE_FLAGS;
  if (kind < 0 || kind > POLICY.MPOL_WEIGHTED_INTERLEAVE) return -EINVAL;
  const both = POLICY.MPOL_F_STATIC_NODES | POLICY.MPOL_F_RELATIVE_NODES;
  if ((flags & both) === both) return -EINVAL;
  if (flags & POLICY.MPOL_F_NUMA_BALANCING && kind !== POLICY.MPOL_BIND && kind !== POLICY.MPOL_PREFERRED_MANY) {
    return -EINVAL;
  }
  switch (kind) {
    case POLICY.MPOL_DEFAULT:
      return nodes === 'none' ? POLICY.MPOL_DEFAULT : -EINVAL;
    case POLICY.MPOL_LOCAL:
      return nodes === 'none' && (flags & both) === 0 ? POLICY.MPOL_LOCAL : -EINVAL;
    case POLICY.MPOL_PREFERRED:
      if (nodes === 'node 0') return mode;
      return (flags & both) === 0 ? POLICY.MPOL_LOCAL : -EINVAL;
    default:
      return nodes === 'node 0' ? mode : -EINVAL;
  }
}

/** set_mempolicy implements Linux syscall set_mempolicy(2). */
export function setMempolicy(task: Task, args: SyscallArguments): number {
  const nodes = readNodes(task, args[1], args[2]);
  if (typeof nodes === 'number') return nodes;
  const policy = checkPolicy(args[0] | 0, nodes);
  if (policy < 0) return policy;
  task.memoryPolicy = policy;
  return 0;
}

/** The range in whole pages: its end, or -EINVAL. */
function endOf(start: number, length: number): number {
  if (start < 0 || start % PAGE_SIZE !== 0 || length < 0) return -EINVAL;
  return start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}

/** mbind implements Linux syscall mbind(2). Everything is on the right node already, so there is nothing to move. */
export function mbind(task: Task, args: SyscallArguments): number {
  const [start, length, mode, mask, bits] = args;
  const flags = args[5] | 0;
  const nodes = readNodes(task, mask, bits);
  if (typeof nodes === 'number') return nodes;
  if (flags & ~(POLICY.MPOL_MF_STRICT | POLICY.MPOL_MF_MOVE | POLICY.MPOL_MF_MOVE_ALL)) return -EINVAL;
  if (flags & POLICY.MPOL_MF_MOVE_ALL && !task.capable(CAP_SYS_NICE)) return -EPERM;
  const end = endOf(start, length);
  if (end < 0) return end;
  const policy = checkPolicy(mode | 0, nodes);
  if (policy < 0) return policy;
  return end === start ? 0 : task.memory.setPolicy(start, end, policy);
}

/** set_mempolicy_home_node implements Linux syscall set_mempolicy_home_node(2): -ENOENT where no policy names nodes. */
export function setMempolicyHomeNode(task: Task, args: SyscallArguments): number {
  const [start, length, node, flags] = args;
  const end = endOf(start, length);
  if (end < 0 || flags !== 0 || node !== 0) return -EINVAL;
  if (end === start) return 0;
  let result = -ENOENT;
  for (let at = start; at < end; ) {
    const found = task.memory.policyFrom(at);
    if (found === null || found.start >= end) break;
    const kind = found.mode & ~POLICY.MPOL_MODE_FLAGS;
    if (kind === POLICY.MPOL_BIND || kind === POLICY.MPOL_PREFERRED_MANY) result = 0;
    else if (found.mode !== POLICY.MPOL_DEFAULT) return -EOPNOTSUPP;
    at = found.end;
  }
  return result;
}

function writeNodes(task: Task, address: number, bits: number, nodes: Nodes): boolean {
  if (address === 0) return true;
  const bytes = Math.ceil(Math.min(bits, MASK_BITS) / 64) * 8;
  if (task.memory.zero(address, bytes) !== bytes) return false;
  return nodes === 'none' || task.memory.writeU64(address, 1);
}

/** get_mempolicy implements Linux syscall get_mempolicy(2). */
export function getMempolicy(task: Task, args: SyscallArguments): number {
  const [modeAddress, mask, bits, address, flags] = args;
  if (flags & ~(POLICY.MPOL_F_NODE | POLICY.MPOL_F_ADDR | POLICY.MPOL_F_MEMS_ALLOWED)) return -EINVAL;
  if (mask !== 0 && bits < 1) return -EINVAL;
  let mode: number;
  let nodes: Nodes;
  if (flags & POLICY.MPOL_F_MEMS_ALLOWED) {
    if (flags & (POLICY.MPOL_F_NODE | POLICY.MPOL_F_ADDR)) return -EINVAL;
    mode = 0;
    nodes = 'node 0';
  } else {
    const policy = policyOf(task, address, flags);
    if (policy < 0) return policy;
    const kind = policy & ~POLICY.MPOL_MODE_FLAGS;
    nodes = kind === POLICY.MPOL_DEFAULT || kind === POLICY.MPOL_LOCAL ? 'none' : 'node 0';
    const interleaved = kind === POLICY.MPOL_INTERLEAVE || kind === POLICY.MPOL_WEIGHTED_INTERLEAVE;
    if (flags & POLICY.MPOL_F_NODE && !(flags & POLICY.MPOL_F_ADDR) && !interleaved) return -EINVAL;
    mode = flags & POLICY.MPOL_F_NODE ? 0 : policy;
  }
  if (modeAddress !== 0 && !task.memory.writeU32(modeAddress, mode)) return -EFAULT;
  return writeNodes(task, mask, bits, nodes) ? 0 : -EFAULT;
}

/** The policy in force for an address (MPOL_F_ADDR) or the thread. */
function policyOf(task: Task, address: number, flags: number): number {
  if (!(flags & POLICY.MPOL_F_ADDR)) return address === 0 ? task.memoryPolicy : -EINVAL;
  const found = task.memory.policyFrom(address);
  if (found === null || found.start > address) return -EFAULT;
  return found.mode === POLICY.MPOL_DEFAULT ? task.memoryPolicy : found.mode;
}

/** The thread a pid names, if the caller may look into it; 0 is the caller. -ESRCH, -EPERM. */
function targetOf(task: Task, pid: number): Task | number {
  const target = pid === 0 ? task : task.kernel.tasks.get(pid);
  if (!target || target.runState === RunState.Dead) return -ESRCH;
  return mayInspect(task, target) ? target : -EPERM;
}

/** migrate_pages implements Linux syscall migrate_pages(2): no page has to move from node 0 to node 0. */
export function migratePages(task: Task, args: SyscallArguments): number {
  const from = readNodes(task, args[2], args[1]);
  if (from === -EFAULT) return from;
  const to = readNodes(task, args[3], args[1]);
  if (typeof to === 'number') return to;
  const target = targetOf(task, args[0] | 0);
  if (typeof target === 'number') return target;
  return to === 'none' ? -EINVAL : 0;
}

/** More pages than any sandbox has: what Linux would look at for minutes. */
const PAGES_MAX = 2 ** 22;

/** move_pages implements Linux syscall move_pages(2): tells where pages are (0), -ENOENT for what nobody has touched, -EFAULT. */
export function movePages(task: Task, args: SyscallArguments): number {
  const [pid, count, pages, nodes, status] = args;
  const flags = args[5] | 0;
  if (flags & ~(POLICY.MPOL_MF_MOVE | POLICY.MPOL_MF_MOVE_ALL)) return -EINVAL;
  if (flags & POLICY.MPOL_MF_MOVE_ALL && !task.capable(CAP_SYS_NICE)) return -EPERM;
  const target = targetOf(task, pid | 0);
  if (typeof target === 'number') return target;
  if (count < 0 || count > PAGES_MAX) return -E2BIG;
  for (let index = 0; index < count; index++) {
    const page = task.memory.readU64(pages + 8 * index);
    if (Number.isNaN(page)) return -EFAULT;
    if (nodes !== 0) {
      const node = task.memory.readI32(nodes + 4 * index);
      if (Number.isNaN(node)) return -EFAULT;
      if (node !== 0) return -ENODEV;
    }
    if (!task.memory.writeU32(status + 4 * index, placeOf(target, page))) return -EFAULT;
  }
  return 0;
}

function placeOf(target: Task, address: number): number {
  const resident = target.memory.isPageResident(address);
  return resident === null ? -EFAULT : resident ? 0 : -ENOENT;
}
