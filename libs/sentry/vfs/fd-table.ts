import { EBADF, EMFILE } from '../abi/errno.js';
import { existingLocks } from './locks.js';
import type { FdTable, FileDescription } from './types.js';

/** Linux's table grows from 64 slots (NR_OPEN_DEFAULT) to powers of two of at least 128 (alloc_fdtable in fs/file.c), and never shrinks. */
const SMALLEST_TABLE = 64;
const GROWN_TABLE = 128;

/** Descriptor table of a process (shared by CLONE_FILES). */
export class DescriptorTable implements FdTable {
  references = 1;
  private readonly files: (FileDescription | null)[] = [];
  private readonly marks: boolean[] = [];
  /** No descriptor below this is free. */
  private lowest = 0;
  private slots = SMALLEST_TABLE;

  get(fd: number): FileDescription | null {
    return fd >= 0 && fd < this.files.length ? this.files[fd] : null;
  }

  install(description: FileDescription, closeOnExec: boolean, minimum: number, limit: number): number {
    let fd = minimum > this.lowest ? minimum : this.lowest;
    while (fd < this.files.length && this.files[fd] !== null) fd++;
    if (fd >= limit) return -EMFILE;
    if (minimum <= this.lowest) this.lowest = fd + 1;
    this.put(fd, description, closeOnExec);
    return fd;
  }

  installAt(fd: number, description: FileDescription, closeOnExec: boolean): void {
    const old = this.get(fd);
    this.put(fd, description, closeOnExec);
    if (old) this.drop(old);
  }

  close(fd: number): number {
    const description = this.get(fd);
    if (!description) return -EBADF;
    this.files[fd] = null;
    this.marks[fd] = false;
    if (fd < this.lowest) this.lowest = fd;
    this.drop(description);
    return 0;
  }

  closeOnExec(fd: number): boolean {
    return this.marks[fd] === true;
  }

  setCloseOnExec(fd: number, value: boolean): void {
    if (this.get(fd)) this.marks[fd] = value;
  }

  copy(): DescriptorTable {
    const copy = new DescriptorTable();
    copy.lowest = this.lowest;
    let length = this.files.length;
    while (length > 0 && this.files[length - 1] === null) length--;
    copy.reserve(length);
    for (let fd = 0; fd < length; fd++) {
      const file = this.files[fd];
      file?.retain();
      copy.files.push(file);
      copy.marks.push(this.marks[fd]);
    }
    return copy;
  }

  closeMarked(): void {
    for (let fd = 0; fd < this.files.length; fd++) if (this.marks[fd]) this.close(fd);
  }

  release(): void {
    if (--this.references > 0) return;
    for (let fd = 0; fd < this.files.length; fd++) this.close(fd);
    this.files.length = 0;
  }

  capacity(): number {
    return this.slots;
  }

  descriptors(): number[] {
    const numbers: number[] = [];
    for (let fd = 0; fd < this.files.length; fd++) if (this.files[fd]) numbers.push(fd);
    return numbers;
  }

  private reserve(count: number): void {
    if (count > this.slots) this.slots = Math.max(GROWN_TABLE, 2 ** Math.ceil(Math.log2(count)));
  }

  private put(fd: number, description: FileDescription, closeOnExec: boolean): void {
    this.reserve(fd + 1);
    while (this.files.length <= fd) {
      this.files.push(null);
      this.marks.push(false);
    }
    this.files[fd] = description;
    this.marks[fd] = closeOnExec;
  }

  private drop(description: FileDescription): void {
    // fcntl(2): closing any descriptor of a file drops the process's record locks on it.
    existingLocks(description.inode)?.drop(this);
    description.flush?.(this);
    description.release();
  }
}
