import {
  Ehdr,
  ELF_MAGIC,
  ELFCLASS64,
  ELFDATA2LSB,
  EM_X86_64,
  ET_DYN,
  ET_EXEC,
  PF_R,
  PF_W,
  PF_X,
  Phdr,
  PT_GNU_STACK,
  PT_INTERP,
  PT_LOAD,
  PT_PHDR,
} from '../../abi/elf.js';
import { EINVAL, EIO, ENOEXEC } from '../../abi/errno.js';
import { BufferIo } from '../../mm/io.js';
import type { Mappable } from '../../mm/types.js';
import {
  type Bytes,
  type GuestAddress,
  PAGE_SIZE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  type Protection,
} from '../../platform/platform.js';
import type { Caller, FileDescription } from '../../vfs/types.js';

/** End of user addresses. */
const TASK_SIZE = 0x7ffffffff000;
/** Linux bounds the program headers by one ELF page of 64 KiB. */
const HEADERS_MAX = 65536;
const INTERPRETER_MAX = 4096;

/** A PT_LOAD: addresses as the file says, before the load bias. */
export interface Segment {
  readonly address: GuestAddress;
  readonly fileSize: Bytes;
  readonly memorySize: Bytes;
  readonly offset: Bytes;
  readonly protection: Protection;
}

/** What the loader needs of an ELF file. Checked: no number here is wild. */
export interface ElfImage {
  /** ET_EXEC: at its own addresses; otherwise wherever there is room. */
  readonly fixed: boolean;
  readonly entry: GuestAddress;
  readonly headerCount: number;
  /** Address of the program headers before the load bias, 0 if no segment holds them. */
  readonly headerAddress: GuestAddress;
  readonly segments: readonly Segment[];
  /** Largest alignment that a segment asks for. */
  readonly alignment: Bytes;
  /** PT_INTERP, byte string. */
  readonly interpreter: string | null;
  readonly executableStack: boolean;
}

/** Headers of image files: immutable, so that a warm zygote has them parsed. */
const parsed = new WeakMap<Mappable, ElfImage>();

const io = new BufferIo();

/** Reads exactly the range, or -EIO (as Linux: a file that ends in its headers). */
export function readExactly(file: FileDescription, caller: Caller, into: Uint8Array, length: Bytes, at: Bytes): number {
  let done = 0;
  while (done < length) {
    const count = file.pread(io.reset(into, done, length - done), at + done, caller);
    if (count < 0) return count;
    if (count === 0) return -EIO;
    done += count;
  }
  return 0;
}

/** A 64-bit field as a signed number. */
function word(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 0x100000000 + view.getUint32(offset, true);
}

/**
 * Reads and checks the headers. `head`: the first bytes of the file. -ENOEXEC: no ELF for this machine, or malformed; -EINVAL:
 * segments that cannot be mapped; -EIO: shorter than it says.
 */
export function parseElf(
  file: FileDescription,
  mappable: Mappable,
  caller: Caller,
  head: Uint8Array,
): ElfImage | number {
  const known = parsed.get(mappable);
  if (known !== undefined) return known;
  const image = parse(file, caller, head);
  if (typeof image !== 'number' && mappable.hostFile !== undefined) parsed.set(mappable, image);
  return image;
}

function parse(file: FileDescription, caller: Caller, head: Uint8Array): ElfImage | number {
  if (head.length < Ehdr.Size) return -ENOEXEC;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0, true) !== ELF_MAGIC) return -ENOEXEC;
  if (view.getUint8(Ehdr.Class) !== ELFCLASS64 || view.getUint8(Ehdr.Data) !== ELFDATA2LSB) return -ENOEXEC;
  const type = view.getUint16(Ehdr.Type, true);
  if ((type !== ET_EXEC && type !== ET_DYN) || view.getUint16(Ehdr.Machine, true) !== EM_X86_64) return -ENOEXEC;
  const headerOffset = word(view, Ehdr.Phoff);
  const headerCount = view.getUint16(Ehdr.Phnum, true);
  if (view.getUint16(Ehdr.Phentsize, true) !== Phdr.Size) return -ENOEXEC;
  const headersSize = headerCount * Phdr.Size;
  if (headerCount === 0 || headersSize > HEADERS_MAX || headerOffset < 0) return -ENOEXEC;
  const table = new Uint8Array(headersSize);
  const failed = readExactly(file, caller, table, headersSize, headerOffset);
  if (failed < 0) return failed === -EIO ? -ENOEXEC : failed;
  const headers = readHeaders(new DataView(table.buffer), headerCount);
  if (typeof headers === 'number') return headers;

  let interpreter: string | null = null;
  if (headers.interpreter !== null) {
    const text = readInterpreter(file, caller, headers.interpreter.offset, headers.interpreter.fileSize);
    if (typeof text === 'number') return text;
    interpreter = text;
  }
  let headerAddress = headers.headerAddress;
  if (headerAddress === null) {
    const holder = headers.segments.find((s) => s.offset <= headerOffset && headerOffset < s.offset + s.fileSize);
    headerAddress = holder === undefined ? 0 : headerOffset - holder.offset + holder.address;
  }
  return {
    fixed: type === ET_EXEC,
    entry: word(view, Ehdr.Entry),
    headerCount,
    headerAddress,
    segments: headers.segments,
    alignment: headers.alignment,
    interpreter,
    executableStack: headers.executableStack,
  };
}

interface Headers {
  segments: Segment[];
  interpreter: { offset: Bytes; fileSize: Bytes } | null;
  headerAddress: GuestAddress | null;
  alignment: Bytes;
  executableStack: boolean;
}

function readHeaders(view: DataView, count: number): Headers | number {
  const headers: Headers = {
    segments: [],
    interpreter: null,
    headerAddress: null,
    alignment: PAGE_SIZE,
    executableStack: false,
  };
  let last = -1;
  for (let index = 0; index < count; index++) {
    const at = index * Phdr.Size;
    const flags = view.getUint32(at + Phdr.Flags, true);
    const offset = word(view, at + Phdr.Offset);
    const address = word(view, at + Phdr.Vaddr);
    const fileSize = word(view, at + Phdr.Filesz);
    const memorySize = word(view, at + Phdr.Memsz);
    switch (view.getUint32(at + Phdr.Type, true)) {
      case PT_LOAD: {
        if (memorySize === 0) break;
        if (address < 0 || address >= TASK_SIZE || fileSize < 0 || memorySize < 0 || offset < 0) return -EINVAL;
        if (fileSize > memorySize || memorySize > TASK_SIZE - address || fileSize > TASK_SIZE) return -EINVAL;
        if (fileSize > 0 && offset % PAGE_SIZE !== address % PAGE_SIZE) return -EINVAL;
        if (!Number.isSafeInteger(offset + fileSize)) return -EINVAL;
        // The span of a program that moves as a whole is that from its first to its last segment: they ascend.
        if (address < last) return -EINVAL;
        last = address;
        const alignment = word(view, at + Phdr.Align);
        if (alignment > headers.alignment && alignment <= 2 ** 30 && Number.isInteger(Math.log2(alignment))) {
          headers.alignment = alignment;
        }
        headers.segments.push({ address, fileSize, memorySize, offset, protection: protectionOf(flags) });
        break;
      }
      case PT_INTERP:
        headers.interpreter ??= { offset, fileSize };
        break;
      case PT_PHDR:
        headers.headerAddress = address >= 0 && address < TASK_SIZE ? address : 0;
        break;
      case PT_GNU_STACK:
        headers.executableStack = (flags & PF_X) !== 0;
        break;
    }
  }
  return headers.segments.length === 0 ? -ENOEXEC : headers;
}

function protectionOf(flags: number): Protection {
  return (
    ((flags & PF_R) !== 0 ? PROT_READ : 0) |
    ((flags & PF_W) !== 0 ? PROT_WRITE : 0) |
    ((flags & PF_X) !== 0 ? PROT_EXEC : 0)
  );
}

function readInterpreter(file: FileDescription, caller: Caller, offset: Bytes, size: Bytes): string | number {
  if (size < 2 || size > INTERPRETER_MAX || offset < 0) return -ENOEXEC;
  const text = new Uint8Array(size);
  const failed = readExactly(file, caller, text, size, offset);
  if (failed < 0) return failed;
  if (text[size - 1] !== 0) return -ENOEXEC;
  return Buffer.from(text.buffer, 0, text.indexOf(0)).toString('latin1');
}
