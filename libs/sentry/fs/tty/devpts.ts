import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EBUSY, EIO, ENOENT, ENOSPC } from '../../abi/errno.js';
import { O_ACCMODE, O_NOCTTY, O_WRONLY } from '../../abi/fcntl.js';
import { DEVPTS_SUPER_MAGIC, makedev, S_IFCHR } from '../../abi/stat.js';
import { TTYAUX_MAJOR } from '../../abi/termios.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { Kernel, ThreadGroup as ThreadGroupView } from '../../kernel/types.js';
import type { DentryNode } from '../../vfs/dentry.js';
import type { AttributeChange, Caller, FileDescription, Inode, Mount, Path, Stat } from '../../vfs/types.js';
import { DeviceInode } from '../dev/devices.js';
import { type ListedEntry, SyntheticDirectory, SyntheticFileSystem, SyntheticInode } from '../synthetic/file-system.js';
import { MasterFile, type MasterOwner } from './master-file.js';
import { Terminal } from './terminal.js';
import { TerminalFile } from './terminal-file.js';

/** /proc/sys/kernel/pty/max: pseudoterminals at once. */
export const PTY_MAX = 1024;
const DEVPTS_DEVICE = 0x18;
/** Group `tty` in every distribution: the mount options say gid=5,mode=620. */
const TTY_GROUP = 5;
const TTY_MODE = 0o620;
/** Inode numbers of the root, of ptmx, and of terminal 0. */
const ROOT_NUMBER = 1;
const PTMX_NUMBER = 2;
const FIRST_NUMBER = 3;
const CHARACTER_DEVICE = S_IFCHR >> 12;

/** The name of a terminal in /dev/pts. */
class TerminalInode extends SyntheticInode {
  private owner: number;
  private group = TTY_GROUP;

  constructor(
    fileSystem: SyntheticFileSystem,
    readonly terminal: Terminal,
    owner: number,
    private readonly table: Terminals,
  ) {
    super(fileSystem, S_IFCHR | TTY_MODE, FIRST_NUMBER + terminal.index);
    this.owner = owner;
  }

  override get uid(): number {
    return this.owner;
  }

  override get gid(): number {
    return this.group;
  }

  override stat(out: Stat): void {
    super.stat(out);
    out.rdev = this.terminal.deviceNumber;
  }

  /** grantpt(3), mesg(1) and chown(1) change owner and mode. */
  override setAttributes(change: AttributeChange, _caller: Caller): number {
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.owner = change.uid;
    if (change.gid !== undefined) this.group = change.gid;
    return 0;
  }

  override open(path: Path, flags: number, caller: Caller): FileDescription | number {
    return this.table.open(this.terminal, path, this, flags, caller as Task);
  }
}

class PtsDirectory extends SyntheticDirectory {
  constructor(
    fileSystem: SyntheticFileSystem,
    private readonly inodes: ReadonlyMap<number, TerminalInode>,
    private readonly ptmx: Inode,
  ) {
    super(fileSystem, 0o755, ROOT_NUMBER);
  }

  /** Terminals come and go. */
  override get volatileEntries(): boolean {
    return true;
  }

  lookup(name: string): Inode | number {
    if (name === 'ptmx') return this.ptmx;
    if (!/^(0|[1-9]\d{0,5})$/.test(name)) return -ENOENT;
    return this.inodes.get(Number(name)) ?? -ENOENT;
  }

  list(): ListedEntry[] {
    const entries = [{ name: 'ptmx', number: this.ptmx.number, type: CHARACTER_DEVICE }];
    for (const [index, inode] of this.inodes)
      entries.push({ name: String(index), number: inode.number, type: CHARACTER_DEVICE });
    return entries;
  }
}

/** All terminals of a sandbox: /dev/pts, /dev/ptmx and /dev/tty. */
export class Terminals implements MasterOwner {
  readonly fileSystem: SyntheticFileSystem;
  /** Set when /dev/pts is mounted. */
  private mount: Mount | null = null;
  /** Names in /dev/pts, and the numbers in use (also of terminals that were hung up and are still open). */
  private readonly names = new Map<number, TerminalInode>();
  private readonly taken = new Set<number>();

  constructor(private readonly kernel: Kernel) {
    const now = { seconds: 0, nanoseconds: 0 };
    kernel.clock.read(CLOCK_REALTIME, now);
    this.fileSystem = new SyntheticFileSystem('devpts', DEVPTS_DEVICE, DEVPTS_SUPER_MAGIC, now);
    const ptmx = new DeviceInode(
      this.fileSystem,
      0o666,
      makedev(TTYAUX_MAJOR, 2),
      (path, inode, flags, caller) => this.openMaster(path, inode, flags, caller),
      PTMX_NUMBER,
    );
    this.fileSystem.root = new PtsDirectory(this.fileSystem, this.names, ptmx);
    tables.set(kernel, this);
  }

  mounted(mount: Mount): void {
    this.mount = mount;
  }

  /** Terminals there are, for /proc/sys/kernel/pty/nr. */
  get count(): number {
    return this.taken.size;
  }

  /** A new terminal without a peer yet, owned by `uid`; -ENOSPC. */
  create(uid: number): Terminal | number {
    let index = 0;
    while (this.taken.has(index)) index++;
    if (index >= PTY_MAX) return -ENOSPC;
    this.taken.add(index);
    const terminal = new Terminal(index, () => this.kernel.clock.monotonic());
    this.names.set(index, new TerminalInode(this.fileSystem, terminal, uid, this));
    return terminal;
  }

  /** open(2) of /dev/ptmx. */
  openMaster(path: Path, inode: Inode, flags: number, caller: Caller): FileDescription | number {
    const terminal = this.create(caller.credentials.fsuid);
    if (typeof terminal === 'number') return terminal;
    terminal.locked = true;
    return new MasterFile(terminal, this, path, inode, flags);
  }

  /** open(2) of /dev/pts/N. -EIO: locked. A session leader without a terminal gets it as its own, unless O_NOCTTY. */
  open(terminal: Terminal, path: Path, inode: Inode, flags: number, caller: Task): FileDescription | number {
    if (terminal.hungUp || terminal.locked) return -EIO;
    if (terminal.exclusive && !caller.capable(CAP_SYS_ADMIN)) return -EBUSY;
    const file = new TerminalFile(terminal, path, inode, flags & ~O_NOCTTY);
    const { group } = caller;
    const leads = group.session.sid === group.pid;
    if (leads && !(flags & O_NOCTTY) && !group.terminal && !terminal.session && (flags & O_ACCMODE) !== O_WRONLY)
      terminal.control(group);
    return file;
  }

  openPeer(terminal: Terminal, flags: number, caller: Task): FileDescription | number {
    const inode = this.names.get(terminal.index);
    if (!inode) return -EIO;
    return this.open(terminal, this.place(inode), inode, flags | O_NOCTTY, caller);
  }

  /** A description of the terminal under its own name, for the kernel's use. */
  fileOf(terminal: Terminal, flags: number): TerminalFile {
    const inode = this.names.get(terminal.index) as TerminalInode;
    return new TerminalFile(terminal, this.place(inode), inode, flags);
  }

  private place(inode: TerminalInode): Path {
    return (this.mount as Mount & { root: DentryNode }).root.adopt(String(inode.terminal.index), inode);
  }

  /** The other side is gone: the name disappears, and the number is free once no program has the terminal open. */
  masterClosed(terminal: Terminal): void {
    this.names.delete(terminal.index);
    for (const file of terminal.files) (file.path.dentry as DentryNode).deleted = true;
    terminal.hangUp();
    this.released(terminal);
  }

  released(terminal: Terminal): void {
    if (terminal.hungUp && terminal.files.size === 0) this.taken.delete(terminal.index);
  }
}

const tables = new WeakMap<object, Terminals>();

/** The terminals of a kernel whose pseudo file systems are mounted. Throws when they are not. */
export function terminalsOf(kernel: Kernel): Terminals {
  const found = tables.get(kernel);
  if (!found) throw new Error('terminals: /dev is not mounted');
  return found;
}

/** open(2) of /dev/tty: the process's own terminal. */
export function openControlling(
  path: Path,
  inode: Inode,
  flags: number,
  group: ThreadGroupView,
): FileDescription | number {
  const terminal = (group as ThreadGroup).terminal as Terminal;
  if (terminal.hungUp) return -EIO;
  return new TerminalFile(terminal, path, inode, flags & ~O_NOCTTY);
}
