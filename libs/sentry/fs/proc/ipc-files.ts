import type { Kernel } from '../../kernel/kernel.js';
import { StaticDirectory, SyntheticFile, type SyntheticFileSystem } from '../synthetic/file-system.js';

const MSG_HEADER =
  '       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n';
const SEM_HEADER = '       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n';
const SHM_HEADER =
  '       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n';

const right = (value: number, width: number): string => String(value).padStart(width);

interface Identified {
  readonly key: number;
  readonly id: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly cuid: number;
  readonly cgid: number;
}

const start = (object: Identified): string =>
  `${right(object.key, 10)} ${right(object.id, 10)}  ${object.mode.toString(8).padStart(4)} `;
const owners = ({ uid, gid, cuid, cgid }: Identified): string =>
  [uid, gid, cuid, cgid].map((id) => right(id, 5)).join(' ');
const times = (...values: number[]): string => values.map((value) => right(value, 10)).join(' ');

function messageQueues(kernel: Kernel): string {
  let text = MSG_HEADER;
  for (const queue of kernel.ipc.messageQueues.table) {
    text += `${start(queue)} ${right(queue.bytes, 10)} ${right(queue.messages.length, 10)} ${right(
      queue.lastSender,
      5,
    )} ${right(queue.lastReceiver, 5)} ${owners(queue)} ${times(queue.sendTime, queue.receiveTime, queue.changeTime)}\n`;
  }
  return text;
}

function semaphores(kernel: Kernel): string {
  let text = SEM_HEADER;
  for (const set of kernel.ipc.semaphores.table) {
    text += `${start(set)}${right(set.values.length, 10)} ${owners(set)} ${times(set.operationTime, set.changeTime)}\n`;
  }
  return text;
}

function sharedMemory(kernel: Kernel): string {
  let text = SHM_HEADER;
  for (const segment of kernel.ipc.sharedMemory.table) {
    text += `${start(segment)}${right(segment.length, 21)} ${right(segment.creatorPid, 5)} ${right(
      segment.lastPid,
      5,
    )}  ${right(segment.attached, 5)} ${owners(segment)} ${times(
      segment.attachTime,
      segment.detachTime,
      segment.changeTime,
    )} ${right(segment.pages.residentBytes, 21)} ${right(0, 21)}\n`;
  }
  return text;
}

/** /proc/sysvipc: what ipcs(1) reads. */
export function sysvipcDirectory(fileSystem: SyntheticFileSystem, kernel: Kernel): StaticDirectory {
  const file = (generate: (kernel: Kernel) => string): SyntheticFile =>
    new SyntheticFile(fileSystem, () => generate(kernel));
  return new StaticDirectory(fileSystem)
    .add('msg', file(messageQueues))
    .add('sem', file(semaphores))
    .add('shm', file(sharedMemory));
}
