import { EACCES, EINVAL, EIO, ENOENT, ESRCH } from '../../abi/errno.js';
import { O_ACCMODE, O_CLOEXEC, O_RDONLY, O_WRONLY, SEEK_CUR, SEEK_SET } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../abi/stat.js';
import type { IoBuffer, MemoryManager } from '../../mm/types.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import { mountIdOf } from '../../vfs/mount-table.js';
import type { Caller, FileDescription, Inode, Path } from '../../vfs/types.js';
import {
  type ListedEntry,
  SyntheticDirectory,
  SyntheticFile,
  type SyntheticFileSystem,
  SyntheticInode,
} from '../synthetic/file-system.js';
import { Subject } from './subject.js';
import { INSPECTED, mayLookInto, shownPath, TASK_FILES, type TaskFile } from './task-files.js';

const DIRECTORY = S_IFDIR >> 12;
const LINK = S_IFLNK >> 12;
const REGULAR = S_IFREG >> 12;

/** Numbers within a subject's block of inode numbers: 0 itself, files from 16 on, then what is named here. */
const Slot = { Fd: 1, FdInfo: 2, Task: 3, Namespace: 4, Links: 8, Files: 16, Namespaces: 96 } as const;
/** Descriptors and their links are numbered apart. */
const FD_NUMBERS = 0x4000_0000;

/** The owner of what a process shows: its effective user, root when it is gone or may not be looked into. */
function ownerOf(subject: Subject, id: 'euid' | 'egid'): number {
  const { task, group } = subject;
  return task && group && group.dumpable === 1 ? task.credentials[id] : 0;
}

class TaskFileInode extends SyntheticFile {
  constructor(
    fileSystem: SyntheticFileSystem,
    private readonly subject: Subject,
    file: TaskFile,
    number: number,
  ) {
    const inspected = INSPECTED.has(file.name);
    const { accept } = file;
    super(
      fileSystem,
      (caller) => {
        const allowed = inspected ? mayLookInto(subject, caller) : 0;
        return allowed < 0 ? allowed : file.generate(subject, caller);
      },
      file.permissions,
      accept ? (text, caller) => accept(subject, text, caller) : null,
      0,
      number,
    );
  }
  override get uid(): number {
    return ownerOf(this.subject, 'euid');
  }
  override get gid(): number {
    return ownerOf(this.subject, 'egid');
  }
}

abstract class TaskDirectoryBase extends SyntheticDirectory {
  constructor(
    fileSystem: SyntheticFileSystem,
    readonly subject: Subject,
    permissions: number,
    slot: number,
  ) {
    super(fileSystem, permissions, subject.inodeBase + slot);
  }
  override get uid(): number {
    return ownerOf(this.subject, 'euid');
  }
  override get gid(): number {
    return ownerOf(this.subject, 'egid');
  }
  override get volatileEntries(): boolean {
    return true;
  }
}

/** A magic link: leads to the place itself, whatever its path says. */
class MagicLink extends SyntheticInode {
  constructor(
    fileSystem: SyntheticFileSystem,
    private readonly subject: Subject,
    number: number,
    private readonly place: (subject: Subject) => Path | null,
    private readonly text: (subject: Subject) => string | null = () => null,
    permissions = 0o777,
  ) {
    super(fileSystem, S_IFLNK | permissions, number);
  }
  override get uid(): number {
    return ownerOf(this.subject, 'euid');
  }
  override get gid(): number {
    return ownerOf(this.subject, 'egid');
  }
  override readlink(caller: Caller): string | number {
    const allowed = mayLookInto(this.subject, caller);
    if (allowed < 0) return allowed;
    const text = this.text(this.subject);
    if (text !== null) return text;
    const place = this.place(this.subject);
    return place ? shownPath(place, this.subject, caller) : -ENOENT;
  }
  followTo(caller: Caller): Path | number {
    const allowed = mayLookInto(this.subject, caller);
    return allowed < 0 ? allowed : (this.place(this.subject) ?? -ENOENT);
  }
}

/** /proc/N/fd. */
class FdDirectory extends TaskDirectoryBase {
  constructor(fileSystem: SyntheticFileSystem, subject: Subject) {
    super(fileSystem, subject, 0o500, Slot.Fd);
  }

  lookup(name: string): Inode | number {
    const fd = descriptorNumber(name);
    const description = fd < 0 ? null : this.subject.files?.get(fd);
    if (!description) return -ENOENT;
    const access = description.flags & O_ACCMODE;
    const permissions = (access === O_WRONLY ? 0 : 0o500) | (access === O_RDONLY ? 0 : 0o300);
    return new MagicLink(
      this.fileSystem,
      this.subject,
      FD_NUMBERS + this.subject.inodeBase * 64 + fd,
      (subject) => subject.files?.get(fd)?.path ?? null,
      (subject) => subject.files?.get(fd)?.displayName ?? null,
      permissions,
    );
  }

  list(): ListedEntry[] {
    const numbers = this.subject.files?.descriptors() ?? [];
    return numbers.map((fd) => ({
      name: String(fd),
      number: FD_NUMBERS + this.subject.inodeBase * 64 + fd,
      type: LINK,
    }));
  }
}

/** /proc/N/fdinfo. */
class FdInfoDirectory extends TaskDirectoryBase {
  constructor(fileSystem: SyntheticFileSystem, subject: Subject) {
    super(fileSystem, subject, 0o555, Slot.FdInfo);
  }

  lookup(name: string): Inode | number {
    const fd = descriptorNumber(name);
    if (fd < 0 || !this.subject.files?.get(fd)) return -ENOENT;
    const { subject } = this;
    return new TaskFileInode(
      this.fileSystem,
      subject,
      {
        name: 'fdinfo',
        permissions: 0o400,
        generate: () => {
          const files = subject.files;
          const description = files?.get(fd);
          if (!files || !description) return -ENOENT;
          const position = Math.max(0, description.seek(0, SEEK_CUR));
          const flags = description.flags | (files.closeOnExec(fd) ? O_CLOEXEC : 0);
          const mount = mountIdOf(subject.kernel.mounts, description.path.mount);
          return `pos:\t${position}\nflags:\t0${flags.toString(8)}\nmnt_id:\t${mount}\nino:\t${description.inode.number}\n`;
        },
      },
      FD_NUMBERS * 2 + subject.inodeBase * 64 + fd,
    );
  }

  list(): ListedEntry[] {
    const numbers = this.subject.files?.descriptors() ?? [];
    return numbers.map((fd) => ({
      name: String(fd),
      number: FD_NUMBERS * 2 + this.subject.inodeBase * 64 + fd,
      type: REGULAR,
    }));
  }
}

function descriptorNumber(name: string): number {
  return /^(0|[1-9]\d{0,8})$/.test(name) ? Number(name) : -1;
}

/** /proc/N/task. */
class ThreadsDirectory extends TaskDirectoryBase {
  constructor(fileSystem: SyntheticFileSystem, subject: Subject) {
    super(fileSystem, subject, 0o555, Slot.Task);
  }

  private threads(): number[] {
    const { group } = this.subject;
    if (!group) return [];
    const tids = new Set([group.leader.tid]);
    for (const task of group.tasks) tids.add(task.tid);
    return [...tids].sort((one, other) => one - other);
  }

  lookup(name: string): Inode | number {
    const tid = descriptorNumber(name);
    const { group, kernel } = this.subject;
    if (!group || !this.threads().includes(tid)) return -ENOENT;
    return new TaskDirectory(this.fileSystem, new Subject(kernel, group.pid, tid, group.startTime));
  }

  list(): ListedEntry[] {
    const { group, kernel } = this.subject;
    if (!group) return [];
    return this.threads().map((tid) => ({
      name: String(tid),
      number: new Subject(kernel, group.pid, tid, group.startTime).inodeBase,
      type: DIRECTORY,
    }));
  }
}

/** One namespace of each kind, and everybody is in it. */
const NAMESPACES: readonly (readonly [name: string, text: string])[] = [
  ['cgroup', 'cgroup:[4026531835]'],
  ['ipc', 'ipc:[4026531839]'],
  ['mnt', 'mnt:[4026531841]'],
  ['net', 'net:[4026531840]'],
  ['pid', 'pid:[4026531836]'],
  ['pid_for_children', 'pid:[4026531836]'],
  ['time', 'time:[4026531834]'],
  ['time_for_children', 'time:[4026531834]'],
  ['user', 'user:[4026531837]'],
  ['uts', 'uts:[4026531838]'],
];

class NamespaceDirectory extends TaskDirectoryBase {
  constructor(fileSystem: SyntheticFileSystem, subject: Subject) {
    super(fileSystem, subject, 0o511, Slot.Namespace);
  }

  lookup(name: string): Inode | number {
    const index = NAMESPACES.findIndex(([candidate]) => candidate === name);
    if (index < 0) return -ENOENT;
    const number = this.subject.inodeBase + Slot.Namespaces + index;
    return new MagicLink(
      this.fileSystem,
      this.subject,
      number,
      () => null,
      () => NAMESPACES[index][1],
    );
  }

  list(): ListedEntry[] {
    return NAMESPACES.map(([name], index) => ({
      name,
      number: this.subject.inodeBase + Slot.Namespaces + index,
      type: LINK,
    }));
  }
}

const LINKS: readonly (readonly [name: string, place: (subject: Subject) => Path | null])[] = [
  ['exe', (subject) => (subject.live ? (subject.group?.executable ?? null) : null)],
  ['cwd', (subject) => subject.fs?.cwd ?? null],
  ['root', (subject) => subject.fs?.root ?? null],
];

type MakeInode = (fileSystem: SyntheticFileSystem, subject: Subject) => Inode;

const DIRECTORIES: readonly (readonly [name: string, slot: number, make: MakeInode, processOnly: boolean])[] = [
  ['fd', Slot.Fd, (fileSystem, subject) => new FdDirectory(fileSystem, subject), false],
  ['fdinfo', Slot.FdInfo, (fileSystem, subject) => new FdInfoDirectory(fileSystem, subject), false],
  ['task', Slot.Task, (fileSystem, subject) => new ThreadsDirectory(fileSystem, subject), true],
  ['ns', Slot.Namespace, (fileSystem, subject) => new NamespaceDirectory(fileSystem, subject), false],
];

/** /proc/N or /proc/N/task/M. */
export class TaskDirectory extends TaskDirectoryBase {
  constructor(fileSystem: SyntheticFileSystem, subject: Subject) {
    super(fileSystem, subject, 0o555, 0);
  }

  lookup(name: string): Inode | number {
    const { subject, fileSystem } = this;
    if (!subject.group) return -ENOENT;
    const base = subject.inodeBase;
    const thread = subject.tid !== 0;
    const file = TASK_FILES.findIndex((candidate) => candidate.name === name);
    if (file >= 0 && !(thread && TASK_FILES[file].processOnly)) {
      return new TaskFileInode(fileSystem, subject, TASK_FILES[file], base + Slot.Files + file);
    }
    const link = LINKS.findIndex(([candidate]) => candidate === name);
    if (link >= 0) return new MagicLink(fileSystem, subject, base + Slot.Links + link, LINKS[link][1]);
    if (name === 'mem') return new MemoryInode(fileSystem, subject);
    const directory = DIRECTORIES.find(([candidate]) => candidate === name);
    if (directory && !(thread && directory[3])) return directory[2](fileSystem, subject);
    if (name === 'net') return fileSystem.root.lookup('net');
    return -ENOENT;
  }

  list(): ListedEntry[] {
    const { subject } = this;
    if (!subject.group) return [];
    const base = subject.inodeBase;
    const thread = subject.tid !== 0;
    const entries: ListedEntry[] = [];
    for (const [name, slot, , processOnly] of DIRECTORIES) {
      if (!(thread && processOnly)) entries.push({ name, number: base + slot, type: DIRECTORY });
    }
    LINKS.forEach(([name], index) => {
      entries.push({ name, number: base + Slot.Links + index, type: LINK });
    });
    TASK_FILES.forEach((file, index) => {
      if (!(thread && file.processOnly)) {
        entries.push({ name: file.name, number: base + Slot.Files + index, type: REGULAR });
      }
    });
    entries.push({ name: 'mem', number: base + Slot.Links + LINKS.length, type: REGULAR });
    return entries;
  }
}

/** /proc/N/mem: the memory at the file's offset, as ptrace(2) reads and writes it. */
class MemoryInode extends SyntheticInode {
  constructor(
    fileSystem: SyntheticFileSystem,
    readonly subject: Subject,
  ) {
    super(fileSystem, S_IFREG | 0o600, subject.inodeBase + Slot.Links + LINKS.length);
  }
  override get uid(): number {
    return ownerOf(this.subject, 'euid');
  }
  override get gid(): number {
    return ownerOf(this.subject, 'egid');
  }
  override open(path: Path, flags: number, caller: Caller): FileDescription | number {
    const allowed = mayLookInto(this.subject, caller);
    if (allowed < 0) return allowed === -ESRCH ? -ESRCH : -EACCES;
    const { memory } = this.subject;
    return memory ? new MemoryDescription(path, this, memory, flags) : -ESRCH;
  }
}

const CHUNK = 65536;

/** Of the address space that its opener might look into: another program, which may have other rights, is none of its business. */
class MemoryDescription extends BaseFileDescription {
  private offset = 0;

  constructor(
    path: Path,
    private readonly file: MemoryInode,
    private readonly opened: MemoryManager,
    flags: number,
  ) {
    super(path, file, flags);
  }

  /** Null once the process is gone or runs another program: end of file. */
  private get memory(): MemoryManager | null {
    return this.file.subject.memory === this.opened ? this.opened : null;
  }

  override read(io: IoBuffer): number {
    const count = this.pread(io, this.offset);
    if (count > 0) this.offset += count;
    return count;
  }

  override write(io: IoBuffer): number {
    const count = this.pwrite(io, this.offset);
    if (count > 0) this.offset += count;
    return count;
  }

  override pread(io: IoBuffer, offset: number): number {
    const { memory } = this;
    if (!memory) return 0;
    const chunk = new Uint8Array(Math.min(CHUNK, io.remaining));
    let done = 0;
    while (io.remaining > 0) {
      const wanted = Math.min(chunk.length, io.remaining);
      const got = memory.readForced(offset + done, chunk, 0, wanted);
      const put = got > 0 ? io.put(chunk, 0, got) : 0;
      done += put;
      if (put < wanted) return done > 0 || io.faulted ? done : -EIO;
    }
    return done;
  }

  override pwrite(io: IoBuffer, offset: number): number {
    const { memory } = this;
    if (!memory) return 0;
    const chunk = new Uint8Array(Math.min(CHUNK, io.remaining));
    let done = 0;
    while (io.remaining > 0) {
      const got = io.take(chunk, 0, Math.min(chunk.length, io.remaining));
      if (got <= 0) break;
      const put = memory.writeForced(offset + done, chunk, 0, got);
      done += put;
      if (put < got) return done > 0 ? done : -EIO;
    }
    return done;
  }

  /** Addresses are offsets; there is no end to seek from. */
  override seek(offset: number, whence: number): number {
    if (whence !== SEEK_SET && whence !== SEEK_CUR) return -EINVAL;
    this.offset = whence === SEEK_SET ? offset : this.offset + offset;
    return this.offset;
  }
}
