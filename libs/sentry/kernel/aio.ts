import type { MemoryManager } from '../mm/types.js';
import type { FileDescription } from '../vfs/types.js';
import { POLLIN, WaitEntry, type Waiter, WaitQueue } from '../vfs/wait-queue.js';
import type { Kernel } from './kernel.js';
import { RunState } from './run-state.js';

/** Where finished requests are counted, besides: eventfd(2). Halves of the number to add. */
export interface EventSink {
  add(low: number, high: number): number;
}

/** What io_getevents(2) tells of a request that is done. */
export interface AioEvent {
  readonly dataLow: number;
  readonly dataHigh: number;
  /** Address of the guest's iocb. */
  readonly iocb: number;
  result: number;
}

/** IOCB_CMD_POLL: done when the file is ready. The only kind of request that is not done at once. */
export class AioPoll implements Waiter {
  private readonly entry = new WaitEntry(this);

  constructor(
    private readonly context: AioContext,
    readonly event: AioEvent,
    private readonly file: FileDescription,
    private readonly events: number,
    private readonly sink: (FileDescription & EventSink) | null,
  ) {
    file.retain();
    sink?.retain();
  }

  /** Waits for the file, unless it is ready now. */
  start(): void {
    this.context.polls.set(this.event.iocb, this);
    this.file.waitQueue.add(this.entry, this.events);
    this.onWake();
  }

  onWake(): void {
    const ready = this.file.poll() & this.events;
    if (ready !== 0) this.finish(ready);
  }

  /** Tells `result` and lets go of the file. */
  finish(result: number): void {
    this.stop();
    this.event.result = result;
    this.context.events.push(this.event);
    tell(this);
  }

  /** Whoever is to know of the event hears of it, and the file is let go of. */
  tell(): void {
    this.sink?.add(1, 0);
    this.context.queue.wake(POLLIN);
    this.release();
  }

  /** io_destroy(2), exit: nobody will ask. */
  cancel(): void {
    this.stop();
    this.release();
  }

  private stop(): void {
    this.entry.queue?.remove(this.entry);
    this.context.polls.delete(this.event.iocb);
  }

  private release(): void {
    this.file.release();
    this.sink?.release();
  }
}

/** Polls whose events are there, but which others must still hear of. */
const finished: AioPoll[] = [];
let telling = false;

/**
 * What the end of a poll sets off may end more of them, thousands in a row: an eventfd is told that another poll watches, the last
 * reference to a socket goes. Those wait their turn, so that the stack does not grow with what a guest has submitted.
 */
function tell(poll: AioPoll): void {
  finished.push(poll);
  if (telling) return;
  telling = true;
  for (let next = 0; next < finished.length; next++) finished[next].tell();
  finished.length = 0;
  telling = false;
}

/** An I/O context: what was submitted to it and is not told yet. */
export class AioContext {
  readonly events: AioEvent[] = [];
  /** By the address of their iocb. */
  readonly polls = new Map<number, AioPoll>();
  /** Woken with every event, and by io_destroy(2). */
  readonly queue = new WaitQueue();
  dead = false;

  /** `address`: of the page in the guest that the C library takes for a ring of events; it is never one. */
  constructor(
    readonly address: number,
    readonly capacity: number,
  ) {}

  get isFull(): boolean {
    return this.events.length + this.polls.size >= this.capacity;
  }

  complete(event: AioEvent, sink: EventSink | null): void {
    this.events.push(event);
    sink?.add(1, 0);
    this.queue.wake(POLLIN);
  }

  destroy(): void {
    this.dead = true;
    for (const poll of [...this.polls.values()]) poll.cancel();
    this.events.length = 0;
    this.queue.wake(POLLIN);
  }
}

/** Contexts belong to an address space; fork(2) does not copy them. */
const contextsOf = new WeakMap<MemoryManager, Map<number, AioContext>>();

export function aioContext(memory: MemoryManager, address: number): AioContext | undefined {
  return contextsOf.get(memory)?.get(address);
}

export function addAioContext(memory: MemoryManager, context: AioContext): void {
  let known = contextsOf.get(memory);
  if (!known) {
    known = new Map();
    contextsOf.set(memory, known);
  }
  // The guest unmapped the page of one it cannot name any more (Linux finds no ring there): what it waits for goes with it.
  known.get(context.address)?.destroy();
  known.set(context.address, context);
}

export function removeAioContext(memory: MemoryManager, context: AioContext): void {
  contextsOf.get(memory)?.delete(context.address);
  context.destroy();
}

/** Requests that the contexts of all processes may hold: fs.aio-nr. */
export function aioReserved(kernel: Kernel): number {
  let total = 0;
  const seen = new Set<MemoryManager>();
  for (const task of kernel.tasks.values()) {
    if (task.runState === RunState.Dead || seen.has(task.memory)) continue;
    seen.add(task.memory);
    for (const context of contextsOf.get(task.memory)?.values() ?? []) total += context.capacity;
  }
  return total;
}

/** A task leaves its address space: the contexts go with the last that does. */
export function leaveAio(kernel: Kernel, memory: MemoryManager, leaving: object): void {
  const known = contextsOf.get(memory);
  if (!known) return;
  for (const task of kernel.tasks.values()) {
    if (task !== leaving && task.memory === memory && task.runState !== RunState.Dead) return;
  }
  contextsOf.delete(memory);
  for (const context of known.values()) context.destroy();
}
