import type { IpcEnvironment } from './environment.js';
import { MessageQueues } from './message-queues.js';
import { PosixQueues } from './posix-queues.js';
import { Semaphores } from './semaphores.js';
import { SharedMemory } from './shared-memory.js';

/** The IPC namespace of the sandbox: it has exactly one. */
export class IpcNamespace {
  readonly sharedMemory: SharedMemory;
  readonly semaphores: Semaphores;
  readonly messageQueues: MessageQueues;
  readonly posixQueues = new PosixQueues();

  constructor(environment: IpcEnvironment) {
    this.sharedMemory = new SharedMemory(environment);
    this.semaphores = new Semaphores(environment);
    this.messageQueues = new MessageQueues(environment);
  }
}
