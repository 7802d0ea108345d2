import {
  AIO_SUBMIT_MAX,
  IOCB_CMD_FDSYNC,
  IOCB_CMD_FSYNC,
  IOCB_CMD_POLL,
  IOCB_CMD_PREAD,
  IOCB_CMD_PREADV,
  IOCB_CMD_PWRITE,
  IOCB_CMD_PWRITEV,
  IOCB_FLAG_RESFD,
  Iocb,
  KIOCB_KEY,
} from '../../abi/aio.js';
import { EAGAIN, EBADF, EFAULT, EFBIG, EINTR, EINVAL, EOPNOTSUPP, EPIPE, ESPIPE } from '../../abi/errno.js';
import { O_NONBLOCK, O_PATH } from '../../abi/fcntl.js';
import { SIGPIPE, SIGXFSZ } from '../../abi/signal.js';
import { EventFile } from '../../fs/anon/eventfd.js';
import { type AioContext, type AioEvent, AioPoll, aioContext } from '../../kernel/aio.js';
import type { Task } from '../../kernel/task.js';
import { BLOCKED, type SyscallArguments } from '../../kernel/types.js';
import { Direction, guestIo, releaseIo, vectorIo } from '../../mm/io.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from '../../vfs/wait-queue.js';
import { readable, writable } from '../file/common.js';

const TWO_32 = 0x1_0000_0000;

/** A struct iocb, copied in. */
interface Request {
  readonly event: AioEvent;
  readonly opcode: number;
  readonly file: FileDescription;
  readonly buffer: number;
  readonly bytes: number;
  readonly offset: number;
  readonly sink: EventFile | null;
}

/** Requests of a call that waits in one of them: those before are done. */
class SubmitWait {
  constructor(readonly next: number) {}
}

const u64 = (view: DataView, offset: number): number =>
  view.getInt32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);

function readRequest(task: Task, address: number): Request | number {
  const view = task.memory.readStruct(address, Iocb.Size);
  if (view === null) return -EFAULT;
  const flags = view.getUint32(Iocb.Flags, true);
  const opcode = view.getUint16(Iocb.Opcode, true);
  const buffer = u64(view, Iocb.Buffer);
  const bytes = u64(view, Iocb.Bytes);
  const offset = u64(view, Iocb.Offset);
  const rwFlags = view.getUint32(Iocb.RwFlags, true);
  const event = {
    dataLow: view.getUint32(Iocb.Data, true),
    dataHigh: view.getUint32(Iocb.Data + 4, true),
    iocb: address,
    result: 0,
  };
  const resultFd = view.getInt32(Iocb.ResultFd, true);
  if (u64(view, Iocb.Reserved) !== 0 || bytes < 0) return -EINVAL;
  const file = task.files.get(view.getInt32(Iocb.Fildes, true));
  if (!file || file.flags & O_PATH) return -EBADF;
  let sink: EventFile | null = null;
  if (flags & IOCB_FLAG_RESFD) {
    const found = task.files.get(resultFd);
    if (!found) return -EBADF;
    if (!(found instanceof EventFile)) return -EINVAL;
    sink = found;
  }
  if (!task.memory.writeU32(address + Iocb.Key, KIOCB_KEY)) return -EFAULT;
  if (rwFlags !== 0) return opcode === IOCB_CMD_POLL || isSync(opcode) ? -EINVAL : -EOPNOTSUPP;
  return { event, opcode, file, buffer, bytes, offset, sink };
}

const isSync = (opcode: number): boolean => opcode === IOCB_CMD_FSYNC || opcode === IOCB_CMD_FDSYNC;

/** Reads or writes at the request's offset; what has no positions is read and written where it stands. */
function transfer(task: Task, request: Request, direction: Direction): number {
  const { opcode, file, buffer, bytes, offset } = request;
  const vector = opcode === IOCB_CMD_PREADV || opcode === IOCB_CMD_PWRITEV;
  const io = vector
    ? vectorIo(task.memory, buffer, bytes, direction)
    : guestIo(task.memory, Float64Array.of(buffer), 0, bytes, direction);
  if (typeof io === 'number') return io;
  const reads = direction === Direction.ToGuest;
  let result = reads ? file.pread(io, offset, task) : file.pwrite(io, offset, task);
  if (result === -ESPIPE) result = reads ? file.read(io, task) : file.write(io, task);
  const { faulted } = io;
  releaseIo(io);
  if (result === -EFBIG) task.raise(SIGXFSZ);
  if (result === -EPIPE) task.raise(SIGPIPE);
  return result === 0 && faulted ? -EFAULT : result;
}

/** Linux's aio_read and aio_write: BLOCKED for a file that lets the submitter wait, as a pipe does. */
function read(task: Task, request: Request): number {
  if (!readable(request.file)) return -EBADF;
  if (request.offset < 0) return -EINVAL;
  const result = transfer(task, request, Direction.ToGuest);
  return result === -EAGAIN && !(request.file.flags & O_NONBLOCK) ? BLOCKED : done(request, result);
}

function write(task: Task, request: Request): number {
  if (!writable(request.file)) return -EBADF;
  if (request.offset < 0) return -EINVAL;
  const result = transfer(task, request, Direction.FromGuest);
  return result === -EAGAIN && !(request.file.flags & O_NONBLOCK) ? BLOCKED : done(request, result);
}

function sync(_task: Task, request: Request): number {
  if (request.buffer !== 0 || request.bytes !== 0 || request.offset !== 0) return -EINVAL;
  return done(request, request.file.sync());
}

/** The result is the event's, not the call's. */
function done(request: Request, result: number): number {
  request.event.result = result;
  return 0;
}

/** Takes one request on: 0, -errno, or BLOCKED. */
function submit(task: Task, context: AioContext, address: number): number {
  if (context.isFull) return -EAGAIN;
  const request = readRequest(task, address);
  if (typeof request === 'number') return request;
  if (request.opcode === IOCB_CMD_POLL) {
    if (request.bytes !== 0 || request.offset !== 0 || request.buffer >= 0x10000 || request.buffer < 0) return -EINVAL;
    if (context.polls.has(address)) return -EINVAL;
    const { event, file, sink } = request;
    new AioPoll(context, event, file, request.buffer | POLLERR | POLLHUP, sink).start();
    return 0;
  }
  const perform = OPERATIONS[request.opcode];
  const result = perform === undefined ? -EINVAL : perform(task, request);
  if (result === BLOCKED) {
    const reads = request.opcode === IOCB_CMD_PREAD || request.opcode === IOCB_CMD_PREADV;
    task.waitOn(request.file.waitQueue, reads ? POLLIN : POLLOUT);
  } else if (result === 0) {
    context.complete(request.event, request.sink);
  }
  return result;
}

const OPERATIONS: Readonly<Record<number, (task: Task, request: Request) => number>> = {
  [IOCB_CMD_PREAD]: read,
  [IOCB_CMD_PREADV]: read,
  [IOCB_CMD_PWRITE]: write,
  [IOCB_CMD_PWRITEV]: write,
  [IOCB_CMD_FSYNC]: sync,
  [IOCB_CMD_FDSYNC]: sync,
};

/**
 * io_submit implements Linux syscall io_submit(2): requests on files are done before it returns, as all memory is at hand. It takes
 * no more of them than the audit log shows, which the caller sees from the result.
 */
export function ioSubmit(task: Task, args: SyscallArguments): number {
  const [address, count, pointers] = args;
  const context = aioContext(task.memory, address);
  if (!context || count < 0) return -EINVAL;
  const most = Math.min(count, AIO_SUBMIT_MAX);
  for (let index = task.state instanceof SubmitWait ? task.state.next : 0; index < most; index++) {
    const request = task.memory.readU64(pointers + 8 * index);
    const result = Number.isNaN(request) ? -EFAULT : submit(task, context, request);
    if (result === BLOCKED) {
      task.setState(new SubmitWait(index));
      return task.park(Number.POSITIVE_INFINITY, index > 0 ? index : -EINTR);
    }
    if (result < 0) return index > 0 ? index : result;
  }
  return most;
}
