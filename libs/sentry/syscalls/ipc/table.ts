import { kernelHandler as own } from '../kernel-handler.js';
import { full, partial, type SyscallRow } from '../row.js';
import { msgctl, msgget, msgrcv, msgsnd } from './message-queues.js';
import { mqGetsetattr, mqNotify, mqOpen, mqTimedreceive, mqTimedsend, mqUnlink } from './posix-queues.js';
import { semctl, semget, semop, semtimedop } from './semaphores.js';
import { shmat, shmctl, shmdt, shmget } from './shared-memory.js';

/** System calls of the ipc family: one row each. */
export const ipcRows: readonly SyscallRow[] = [
  partial('shmget', 'key:hex size:size shmflg:hex', own(shmget), 'SHM_HUGETLB answers ENOMEM'),
  full('shmat', 'shmid:int shmaddr:address shmflg:hex', own(shmat), { result: 'hex' }),
  full('shmdt', 'shmaddr:address', own(shmdt)),
  full('shmctl', 'shmid:int cmd:int buf:address', own(shmctl)),
  partial('semget', 'key:hex nsems:int semflg:hex', own(semget), 'at most 1,024,000 semaphores in all sets (SEMMNS)'),
  full('semop', 'semid:int sops:address nsops:size', own(semop)),
  full('semtimedop', 'semid:int sops:address nsops:size timeout:timespec', own(semtimedop)),
  full('semctl', 'semid:int semnum:int cmd:int arg:hex', own(semctl)),
  full('msgget', 'key:hex msgflg:hex', own(msgget)),
  full('msgsnd', 'msqid:int msgp:address msgsz:size msgflg:hex', own(msgsnd)),
  full('msgrcv', 'msqid:int msgp:address msgsz:size msgtyp:long msgflg:hex', own(msgrcv)),
  full('msgctl', 'msqid:int cmd:int buf:address', own(msgctl)),
  partial(
    'mq_open',
    'name:path oflag:open-flags mode:mode attr:address',
    own(mqOpen),
    'the mqueue file system is not mounted: queues have names, no files',
    { result: 'fd' },
  ),
  full('mq_unlink', 'name:path', own(mqUnlink)),
  full('mq_timedsend', 'mqdes:fd msg_ptr:address msg_len:size msg_prio:uint timeout:timespec', own(mqTimedsend)),
  full(
    'mq_timedreceive',
    'mqdes:fd msg_ptr:address msg_len:size msg_prio:address timeout:timespec',
    own(mqTimedreceive),
  ),
  full('mq_notify', 'mqdes:fd sevp:address', own(mqNotify)),
  full('mq_getsetattr', 'mqdes:fd newattr:address oldattr:address', own(mqGetsetattr)),
];
