import { AT_HWCAP, AT_HWCAP2, AT_MINSIGSTKSZ } from '../../abi/auxv.js';
import { EACCES, ELIBBAD, ELOOP, ENOENT, ENOEXEC, ENOMEM } from '../../abi/errno.js';
import { O_RDONLY, R_OK, X_OK } from '../../abi/fcntl.js';
import { FS_EXECUTE, FS_READ_FILE } from '../../abi/landlock.js';
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK } from '../../abi/resource.js';
import { S_IFMT, S_IFREG } from '../../abi/stat.js';
import { type MemoryEnvironment, memoryEnvironment } from '../../mm/environment.js';
import type { Frames } from '../../mm/frames.js';
import { BufferIo } from '../../mm/io.js';
import { randomOffset } from '../../mm/layout.js';
import { MemoryManager } from '../../mm/memory-manager.js';
import type { Mappable } from '../../mm/types.js';
import type { Bytes, GuestAddress } from '../../platform/platform.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { checkLandlock } from '../../vfs/landlock.js';
import { isSymlink, resolve, type Walker } from '../../vfs/path-walk.js';
import { checkAccess } from '../../vfs/permissions.js';
import type { FileDescription } from '../../vfs/types.js';
import { credentialsForExec } from '../exec-credentials.js';
import type { LoadedProgram, LoadRequest, ProgramLoader } from '../program.js';
import { type ElfImage, parseElf } from './elf.js';
import { chooseBias, endOf, mapImage, noteLayout } from './map-image.js';
import { parseScriptLine } from './script.js';
import { buildStack, type HostAuxv, measureArguments } from './stack.js';
import { createVdso, mapVdso } from './vdso.js';

/** Interpreters of interpreters before ELOOP (exec_binprm). */
const SCRIPT_DEPTH = 5;
/** Position-independent programs start at two thirds of user space (ELF_ET_DYN_BASE) plus up to this. */
const DYN_RANDOM: Bytes = 2 ** 40;
/** Bytes of a file that decide what it is. */
const HEAD_SIZE = 256;

/** Facts about this machine from the Sentry's own /proc/self/auxv. */
export function parseHostAuxv(auxv: Uint8Array): HostAuxv {
  const view = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength);
  const facts = { hwcap: 0, hwcap2: 0, minSigStackSize: 2048 };
  for (let at = 0; at + 16 <= auxv.byteLength; at += 16) {
    const value = view.getUint32(at + 8, true);
    switch (view.getUint32(at, true)) {
      case AT_HWCAP:
        facts.hwcap = value;
        break;
      case AT_HWCAP2:
        facts.hwcap2 = value;
        break;
      case AT_MINSIGSTKSZ:
        facts.minSigStackSize = value;
        break;
    }
  }
  return facts;
}

/** An executable file that has passed the checks, open. */
interface Executable {
  readonly node: DentryNode;
  readonly file: FileDescription;
  readonly mappable: Mappable;
  readonly head: Uint8Array;
}

/** Makes the kernel's program loader. Cheap, and touches nothing: for the zygote. */
/** `vdsoLibrary`: the built native/vdso.c. */
export function createProgramLoader(frames: Frames, hostAuxv: HostAuxv, vdsoLibrary: Uint8Array): ProgramLoader {
  let environment: MemoryEnvironment | null = null;
  let vdso: Mappable | null = null;
  return (request) => {
    const { kernel } = request;
    if (environment === null) {
      environment = memoryEnvironment(kernel.platform, frames, (bytes) => kernel.random(bytes));
      vdso = createVdso(vdsoLibrary, kernel.platform, frames);
    }
    return load(request, environment, hostAuxv, vdso);
  };
}

function load(
  request: LoadRequest,
  environment: MemoryEnvironment,
  hostAuxv: HostAuxv,
  vdso: Mappable | null,
): LoadedProgram | number {
  const walker = walkerOf(request);
  const stackLimit = request.rlimits[RLIMIT_STACK].soft;
  // Linux gives a program without arguments an empty name.
  let argv = request.argv.length === 0 ? [''] : request.argv;
  const tooBig = measureArguments(argv, request.envp, stackLimit);
  if (tooBig < 0) return tooBig;

  let opened = openExecutable(walker, request);
  if (typeof opened === 'number') return opened;
  const comm = (request.fileName === '' ? opened.node.name : baseName(request.fileName)).slice(0, 15);
  let scriptName = request.displayName;
  for (let depth = 0; ; depth++) {
    const script = parseScriptLine(opened.head);
    if (script === null) break;
    opened.file.release();
    if (depth === SCRIPT_DEPTH) return -ELOOP;
    argv = [script.interpreter, ...(script.argument === null ? [] : [script.argument]), scriptName, ...argv.slice(1)];
    scriptName = script.interpreter;
    opened = openByName(walker, script.interpreter);
    if (typeof opened === 'number') return opened;
  }

  const memory = new MemoryManager(environment, undefined, {
    addressSpace: request.rlimits[RLIMIT_AS].soft,
    data: request.rlimits[RLIMIT_DATA].soft,
    stack: stackLimit,
  });
  let result: LoadedProgram | number = -ENOMEM;
  try {
    result = loadElf(opened, request, walker, memory, argv, hostAuxv, vdso, comm);
  } finally {
    opened.file.release();
    if (typeof result === 'number') memory.release();
  }
  return result;
}

/** Who walks: a task itself where there is one, so that /proc/self is found. */
function walkerOf({ caller, fs }: LoadRequest): Walker {
  if ('fs' in caller && caller.fs === fs) return caller as Walker;
  const { credentials, memory, umask, fileSizeLimit } = caller;
  return { credentials, memory, umask, fileSizeLimit, fs };
}

function pageDown(address: GuestAddress): GuestAddress {
  return address - (address % 4096);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function openExecutable(walker: Walker, request: LoadRequest): Executable | number {
  if (request.fileName !== '') {
    return openByName(walker, request.fileName, request.start, request.followLink);
  }
  return request.start === null ? -ENOENT : openNode(walker, request.start.dentry as DentryNode);
}

function openByName(
  walker: Walker,
  name: string,
  start: LoadRequest['start'] = null,
  followLink = true,
): Executable | number {
  const node = resolve(walker, start, name, followLink);
  return typeof node === 'number' ? node : openNode(walker, node);
}

function isMounted(node: DentryNode, option: string): boolean {
  return node.mount?.options.split(',').includes(option) ?? false;
}

/** -EACCES: no regular file, not executable, or on a file system mounted noexec. */
function openNode(walker: Walker, node: DentryNode): Executable | number {
  const { inode } = node;
  if (isSymlink(inode)) return -ELOOP;
  if ((inode.mode & S_IFMT) !== S_IFREG) return -EACCES;
  const allowed =
    checkAccess(inode, X_OK, walker.credentials) || checkLandlock(walker.credentials, node, FS_EXECUTE | FS_READ_FILE);
  if (allowed !== 0) return allowed;
  if (isMounted(node, 'noexec')) return -EACCES;
  // Execute permission is enough: the program need not be readable.
  const file = inode.open(node, O_RDONLY, walker);
  if (typeof file === 'number') return file;
  const mappable = file.mappable();
  if (typeof mappable === 'number') {
    file.release();
    return -EACCES;
  }
  const buffer = new Uint8Array(HEAD_SIZE);
  const count = file.pread(new BufferIo(buffer), 0, walker);
  if (count < 0) {
    file.release();
    return count;
  }
  return { node, file, mappable, head: buffer.subarray(0, count) };
}

function loadElf(
  program: Executable,
  request: LoadRequest,
  walker: Walker,
  memory: MemoryManager,
  argv: readonly string[],
  hostAuxv: HostAuxv,
  vdso: Mappable | null,
  comm: string,
): LoadedProgram | number {
  const { kernel } = request;
  const random = (bytes: Uint8Array): void => kernel.random(bytes);
  const image = parseElf(program.file, program.mappable, walker, program.head);
  if (typeof image === 'number') return image;
  const { inode } = program.node;
  const file = { mode: inode.mode, uid: inode.uid, gid: inode.gid, noSetId: isMounted(program.node, 'nosuid') };
  const { credentials, secure } = credentialsForExec(walker.credentials, file, request.unsafe);
  let interpreterBase = 0;
  let start: GuestAddress;

  let interpreter: Executable | null = null;
  let interpreterImage: ElfImage | null = null;
  if (image.interpreter !== null) {
    const found = openByName(walker, image.interpreter);
    if (typeof found === 'number') return found;
    const parsed = parseElf(found.file, found.mappable, walker, found.head);
    if (typeof parsed === 'number') {
      found.file.release();
      return parsed === -ENOEXEC ? -ELIBBAD : parsed;
    }
    interpreter = found;
    interpreterImage = parsed;
  }
  try {
    const dynamicBase = pageDown((memory.space.maxAddress / 3) * 2);
    const base = interpreter === null ? 0 : dynamicBase + randomOffset(random, DYN_RANDOM);
    const bias = chooseBias(memory, image, base);
    if (Number.isNaN(bias)) return -ENOMEM;
    const mapped = mapImage(memory, image, program.mappable, bias);
    if (mapped < 0) return mapped;
    const entry = image.entry + bias;
    start = entry;
    noteLayout(memory, image, bias);
    // Without an interpreter the program is in the mmap area (it may be ld.so run by hand): its break goes elsewhere.
    memory.startBrk(image.fixed || interpreter !== null ? endOf(image) + bias : dynamicBase);
    if (interpreter !== null && interpreterImage !== null) {
      interpreterBase = chooseBias(memory, interpreterImage, 0);
      if (Number.isNaN(interpreterBase)) return -ENOMEM;
      const result = mapImage(memory, interpreterImage, interpreter.mappable, interpreterBase);
      if (result < 0) return result;
      start = interpreterImage.entry + interpreterBase;
    }
    const stackPointer = buildStack(memory, {
      argv,
      envp: request.envp,
      execName: request.displayName,
      credentials,
      secure,
      headerAddress: image.headerAddress === 0 ? 0 : image.headerAddress + bias,
      headerCount: image.headerCount,
      interpreterBase,
      entry,
      executableStack: image.executableStack,
      hostAuxv,
      vdsoAddress: mapVdso(memory, vdso),
      random,
    });
    if (stackPointer < 0) return stackPointer;
    const readable = checkAccess(program.node.inode, R_OK, walker.credentials) === 0;
    return { memory, entry: start, stackPointer, executable: program.node, credentials, secure, readable, comm };
  } finally {
    interpreter?.file.release();
  }
}
