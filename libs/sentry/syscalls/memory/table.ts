import { EINVAL } from '../../abi/errno.js';
import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, refused, type SyscallRow } from '../row.js';
import { brk } from './brk.js';
import { cachestat } from './cachestat.js';
import { madvise, mincore, msync } from './madvise.js';
import { membarrier } from './membarrier.js';
import { mlock, mlock2, mlockall, munlock, munlockall } from './mlock.js';
import { mmap } from './mmap.js';
import { mprotect, pkeyMprotect } from './mprotect.js';
import { mremap } from './mremap.js';
import { munmap } from './munmap.js';
import * as numa from './numa.js';
import { processMadvise } from './process-madvise.js';
import { processMrelease } from './process-mrelease.js';
import { processVmReadv, processVmWritev } from './process-vm.js';

const ONE_NODE = 'a machine of one node: policies are checked and remembered';

/** System calls of the memory family: one row each. */
export const memoryRows: readonly SyscallRow[] = [
  partial(
    'mmap',
    'addr:address length:size prot:mmap-prot flags:mmap-flags fd:fd offset:hex',
    mmap,
    'MAP_HUGETLB answers ENOMEM; populating stops at 64 MiB',
    { result: 'hex' },
  ),
  full('munmap', 'addr:address length:size', munmap),
  full('mprotect', 'addr:address length:size prot:mmap-prot', mprotect),
  partial(
    'pkey_mprotect',
    'addr:address length:size prot:mmap-prot pkey:int',
    pkeyMprotect,
    'no protection keys: EINVAL for any key but -1',
  ),
  full('mremap', 'old_address:address old_size:size new_size:size flags:mremap-flags new_address:address', mremap, {
    result: 'hex',
  }),
  full('brk', 'addr:address', brk, { result: 'hex' }),
  partial(
    'madvise',
    'addr:address length:size advice:madvise',
    madvise,
    'MADV_FREE frees at once, most other advice changes nothing',
  ),
  full('msync', 'addr:address length:size flags:hex', msync),
  full('mincore', 'addr:address length:size vec:address', mincore),
  partial('mlock', 'addr:address length:size', mlock, 'accounted only: guest memory is never paged out'),
  partial('mlock2', 'addr:address length:size flags:hex', mlock2, 'accounted only: guest memory is never paged out'),
  full('munlock', 'addr:address length:size', munlock),
  partial('mlockall', 'flags:hex', mlockall, 'accounted only: guest memory is never paged out'),
  full('munlockall', '', munlockall),
  partial('membarrier', 'cmd:int flags:hex cpu_id:int', membarrier, 'without the commands for rseq'),
  full('process_vm_readv', 'pid:pid lvec:address liovcnt:size rvec:address riovcnt:size flags:hex', processVmReadv, {
    security: true,
  }),
  full('process_vm_writev', 'pid:pid lvec:address liovcnt:size rvec:address riovcnt:size flags:hex', processVmWritev, {
    security: true,
  }),
  full('process_madvise', 'pidfd:fd vec:address vlen:size advice:madvise flags:hex', processMadvise),
  refused('remap_file_pages', 'addr:address size:size prot:hex pgoff:size flags:hex', EINVAL, 'EINVAL: deprecated'),
  partial(
    'mbind',
    'addr:address length:size mode:int nodemask:address maxnode:size flags:hex',
    own(numa.mbind),
    ONE_NODE,
  ),
  partial('set_mempolicy', 'mode:int nodemask:address maxnode:size', own(numa.setMempolicy), ONE_NODE),
  partial(
    'get_mempolicy',
    'mode:address nodemask:address maxnode:size addr:address flags:hex',
    own(numa.getMempolicy),
    ONE_NODE,
  ),
  partial(
    'set_mempolicy_home_node',
    'start:address length:size home_node:int flags:hex',
    own(numa.setMempolicyHomeNode),
    ONE_NODE,
  ),
  partial(
    'migrate_pages',
    'pid:pid maxnode:size old_nodes:address new_nodes:address',
    own(numa.migratePages),
    ONE_NODE,
  ),
  partial(
    'move_pages',
    'pid:pid count:size pages:address nodes:address status:address flags:hex',
    own(numa.movePages),
    ONE_NODE,
  ),
  partial(
    'cachestat',
    'fd:fd range:address cstat:address flags:hex',
    cachestat,
    'files of the image count as cached whole',
  ),
  full('process_mrelease', 'pidfd:fd flags:hex', own(processMrelease)),
];
