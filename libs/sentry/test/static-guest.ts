/**
 * Runs a static ELF program on the kernel with nothing above it: an empty tmpfs, a stdout that collects. For tests of the kernel
 * that must not depend on images, the loader proper or the boot code.
 */
import { readFileSync } from 'node:fs';
import { ENOENT, ENOEXEC } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from '../abi/mman.js';
import { MemoryFileSystem } from '../fs/tmpfs/memory-file-system.js';
import { newCredentials } from '../kernel/credentials.js';
import { createInit } from '../kernel/first-process.js';
import { Kernel } from '../kernel/kernel.js';
import type { LoadedProgram, LoadRequest } from '../kernel/program.js';
import { initialRlimits } from '../kernel/rlimits.js';
import type { SyscallArguments, SyscallObserver, Task } from '../kernel/types.js';
import { type MemoryEnvironment, memoryEnvironment } from '../mm/environment.js';
import { Frames } from '../mm/frames.js';
import { MemoryManager } from '../mm/memory-manager.js';
import type { IoBuffer } from '../mm/types.js';
import { host } from '../platform/host.js';
import { HostMemoryFile } from '../platform/memory-file.js';
import { PtracePlatform } from '../platform/ptrace/ptrace-platform.js';
import { HANDLERS } from '../syscalls/table.js';
import { AnonymousFile, anonymousPath } from '../vfs/anonymous-file.js';
import { DescriptorTable } from '../vfs/fd-table.js';
import { MountTable } from '../vfs/mount-table.js';
import type { Mount, Path } from '../vfs/types.js';
import { POLLOUT } from '../vfs/wait-queue.js';

export interface StaticRun {
  /** Programs by guest path; the first is run. */
  readonly programs: Readonly<Record<string, string>>;
  readonly argv?: readonly string[];
  readonly uid?: number;
  readonly wallTimeMs?: number;
  readonly cpuTimeMs?: number;
  readonly memoryBytes?: number;
  readonly tasks?: number;
  readonly trace?: (line: string) => void;
}

export interface StaticOutcome {
  readonly reason: string | null;
  readonly detail: string | null;
  /** Wait status of the first process, null while it lived. */
  readonly status: number | null;
  readonly stdout: string;
  readonly log: readonly string[];
}

class Collector extends AnonymousFile {
  readonly displayName = 'test:[stdout]';
  text = '';
  private readonly buffer = new Uint8Array(65536);

  constructor() {
    super(O_RDWR, anonymousPath());
  }
  poll(): number {
    return POLLOUT;
  }
  protected override close(): void {}
  override write(io: IoBuffer): number {
    const count = io.take(this.buffer, 0, Math.min(io.remaining, this.buffer.length));
    this.text += Buffer.from(this.buffer.subarray(0, count)).toString('latin1');
    return count;
  }
}

let memoryFile: HostMemoryFile | undefined;
let platform: PtracePlatform | undefined;

export function runStatic(run: StaticRun): StaticOutcome {
  memoryFile ??= new HostMemoryFile();
  platform ??= new PtracePlatform(memoryFile);
  memoryFile.attach();
  platform.start();
  const random = (bytes: Uint8Array): void => void host.random(bytes);
  const frames = new Frames(memoryFile);
  frames.limit = run.memoryBytes ?? 512 << 20;
  const environment = memoryEnvironment(platform, frames, random);
  const images = new Map(Object.entries(run.programs).map(([path, file]) => [path, readFileSync(file)]));
  const log: string[] = [];
  const kernel = new Kernel({
    handlers: HANDLERS,
    loadProgram: (request) => load(environment, images, request),
  });
  const mounts = new MountTable(new MemoryFileSystem('tmpfs', 1, frames, 0o755), 'tmpfs', 'rw');
  const root: Path = { mount: mounts.root as Mount, dentry: mounts.root.root };
  kernel.attach({
    platform,
    frames,
    observer: run.trace ? tracer(run.trace) : null,
    hostClock: (clock, out) => void host.clockTime(clock, out),
    random,
    log: (line) => void log.push(line),
    rootMount: mounts.root as Mount,
    mounts: mounts.mounts,
    hostname: 'test',
    domainname: '(none)',
    cpus: 2,
    network: 'none',
    wallTime: (run.wallTimeMs ?? 20_000) * 1e6,
    cpuTime: (run.cpuTimeMs ?? 20_000) * 1e6,
    tasks: run.tasks ?? 256,
  });
  const stdout = new Collector();
  const files = new DescriptorTable();
  for (let fd = 0; fd < 3; fd++) {
    stdout.retain();
    files.install(stdout, false, 0, 16);
  }
  const fileName = Object.keys(run.programs)[0];
  const uid = run.uid ?? 0;
  const init = createInit(kernel, {
    fileName,
    argv: run.argv ?? [fileName],
    envp: [],
    fs: { root, cwd: root, umask: 0o22, references: 1 },
    files,
    credentials: newCredentials(uid, uid, []),
    rlimits: initialRlimits({ openFiles: 1024, fileBytes: 1 << 30, processes: run.tasks ?? 256 }),
  });
  if (typeof init === 'number') throw new Error(`loading ${fileName}: errno ${-init}`);
  kernel.run();
  const outcome = {
    reason: kernel.endReason,
    detail: kernel.endDetail,
    status: kernel.init.exitStatus,
    stdout: stdout.text,
    log,
  };
  platform.shutdown();
  memoryFile.detach();
  return outcome;
}

function tracer(trace: (line: string) => void): SyscallObserver {
  const show = (task: Task, number: number, args: SyscallArguments): string =>
    `${task.tid} ${number}(${Array.from(args, (value) => (value < 4096 ? String(value) : `0x${value.toString(16)}`)).join(', ')})`;
  return {
    enter: () => undefined,
    exit: (task, number, args, result) => trace(`${show(task, number, args)} = ${result}`),
  };
}

const STACK_BYTES = 1 << 20;

/** A loader for static executables at fixed addresses, enough for glibc's static start code. */
function load(
  environment: MemoryEnvironment,
  images: ReadonlyMap<string, Buffer>,
  request: LoadRequest,
): LoadedProgram | number {
  const image = images.get(request.fileName);
  if (!image) return -ENOENT;
  if (image.readUInt32BE(0) !== 0x7f454c46 || image.readUInt16LE(16) !== 2) return -ENOEXEC;
  const memory = new MemoryManager(environment);
  const entry = Number(image.readBigUInt64LE(24));
  const headers = Number(image.readBigUInt64LE(32));
  const count = image.readUInt16LE(56);
  let end = 0;
  let headersAddress = 0;
  for (let index = 0; index < count; index++) {
    const at = headers + 56 * index;
    if (image.readUInt32LE(at) !== 1) continue;
    const flags = image.readUInt32LE(at + 4);
    const offset = Number(image.readBigUInt64LE(at + 8));
    const address = Number(image.readBigUInt64LE(at + 16));
    const fileSize = Number(image.readBigUInt64LE(at + 32));
    const size = Number(image.readBigUInt64LE(at + 40));
    const start = Math.floor(address / 4096) * 4096;
    const length = Math.ceil((address + size - start) / 4096) * 4096;
    map(memory, start, length, 3);
    memory.copyOut(address, image, offset, fileSize);
    memory.mprotect(start, length, (flags & 4 ? 1 : 0) | (flags & 2) | (flags & 1 ? 4 : 0));
    end = Math.max(end, start + length);
    if (offset === 0) headersAddress = address + headers;
  }
  memory.startBrk(end);
  const stackTop = memory.layout.stackTop - (memory.layout.stackTop % 4096);
  map(memory, stackTop - STACK_BYTES, STACK_BYTES, 3);
  const stackPointer = fillStack(memory, stackTop, request, entry, headersAddress, count);
  return {
    memory,
    entry,
    stackPointer,
    executable: request.fs.root,
    credentials: request.caller.credentials,
    secure: false,
    readable: true,
    comm: request.fileName.slice(1, 16),
  };
}

function map(memory: MemoryManager, address: number, length: number, protection: number): void {
  const result = memory.mmap({
    address,
    length,
    protection,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    object: null,
    offset: 0,
    maxProtection: 7,
  });
  if (result !== address) throw new Error(`mmap ${address.toString(16)}: ${result}`);
}

function fillStack(
  memory: MemoryManager,
  top: number,
  request: LoadRequest,
  entry: number,
  headersAddress: number,
  count: number,
): number {
  let place = top - 16;
  const push = (text: string): number => {
    place -= text.length + 1;
    memory.copyOut(place, Buffer.from(`${text}\0`, 'latin1'), 0, text.length + 1);
    return place;
  };
  const argv = request.argv.map(push);
  const envp = request.envp.map(push);
  const random = place - 16;
  const auxv = [3, headersAddress, 4, 56, 5, count, 6, 4096, 9, entry, 23, 0, 25, random, 0, 0];
  const words = [argv.length, ...argv, 0, ...envp, 0, ...auxv];
  const bottom = Math.floor((random - 8 * words.length) / 16) * 16;
  for (const [index, word] of words.entries()) memory.writeU64(bottom + 8 * index, word);
  return bottom;
}
