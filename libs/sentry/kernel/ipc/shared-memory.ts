import { ENOMEM, ENOSPC } from '../../abi/errno.js';
import { SHM_DEST, SHMMNI } from '../../abi/ipc.js';
import { SharedAnonymous } from '../../mm/shared-anonymous.js';
import type { FrameAllocator, MappingObserver } from '../../mm/types.js';
import { type Bytes, PAGE_SIZE } from '../../platform/platform.js';
import type { Credentials } from '../../vfs/types.js';
import type { IpcEnvironment } from './environment.js';
import { IpcObject, IpcTable } from './identifiers.js';

/** Beyond this no address space could attach it. */
const LARGEST: Bytes = 2 ** 47;

/** A shared memory segment (struct shmid_kernel): who made and used it. Its pages are `pages`. */
export class SharedMemorySegment extends IpcObject {
  attachTime = 0;
  detachTime = 0;
  changeTime: number;
  lastPid = 0;
  /** Mappings (VMAs), as Linux counts them: a split mapping counts twice. */
  attached = 0;
  readonly pages: SegmentPages;

  constructor(
    key: number,
    mode: number,
    credentials: Credentials,
    readonly length: Bytes,
    readonly creatorPid: number,
    private readonly owner: SharedMemory,
  ) {
    super(key, mode, credentials);
    this.changeTime = owner.environment.seconds();
    this.pages = new SegmentPages(owner.environment.frames, Math.ceil(length / PAGE_SIZE) * PAGE_SIZE, this);
    // The table's own reference: pages live on without any mapping.
    this.pages.retain();
  }

  /** Time and process of the last shmat(2) or shmdt(2), fork and exit included. */
  mappedOnce(): void {
    this.attached++;
    this.attachTime = this.owner.environment.seconds();
    this.lastPid = this.owner.environment.currentPid();
  }

  unmappedOnce(): void {
    this.attached--;
    this.detachTime = this.owner.environment.seconds();
    this.lastPid = this.owner.environment.currentPid();
    if (this.attached === 0 && (this.mode & SHM_DEST) !== 0) this.owner.destroy(this);
  }
}

/** The pages of a segment as the memory manager maps them; they say when they are mapped. */
class SegmentPages extends SharedAnonymous {
  constructor(
    frames: FrameAllocator,
    length: Bytes,
    private readonly segment: SharedMemorySegment,
  ) {
    super(frames, length);
  }

  override get inode(): number {
    return this.segment.id;
  }

  override mapped(observer: MappingObserver): void {
    super.mapped(observer);
    this.segment.mappedOnce();
  }

  override unmapped(observer: MappingObserver): void {
    super.unmapped(observer);
    this.segment.unmappedOnce();
  }

  override mapName(): string {
    return `/SYSV${(this.segment.key >>> 0).toString(16).padStart(8, '0')} (deleted)`;
  }
}

/** All segments of the sandbox. Their pages count against its memory limit once they are touched. */
export class SharedMemory {
  readonly table = new IpcTable<SharedMemorySegment>(SHMMNI);

  constructor(readonly environment: IpcEnvironment) {}

  /** A segment of its own; -ENOMEM when it could never be attached, -ENOSPC at the limit of segments. */
  create(
    key: number,
    mode: number,
    credentials: Credentials,
    length: Bytes,
    pid: number,
  ): SharedMemorySegment | number {
    if (length > LARGEST) return -ENOMEM;
    if (this.table.inUse >= SHMMNI) return -ENOSPC;
    return new SharedMemorySegment(key, mode, credentials, length, pid, this);
  }

  /** IPC_RMID: at once, or with the last detach. */
  remove(segment: SharedMemorySegment): void {
    if (segment.attached === 0) {
      this.destroy(segment);
      return;
    }
    segment.mode |= SHM_DEST;
    this.table.forgetKey(segment);
  }

  destroy(segment: SharedMemorySegment): void {
    if (segment.removed) return;
    this.table.remove(segment);
    segment.pages.release();
  }

  /** Whether a mapping is one of a segment: shmdt(2) looks for these. */
  readonly isSegment = (object: object): boolean => object instanceof SegmentPages;

  /** Bytes of all segments as their sizes say, and those that are in memory. */
  total(): { size: Bytes; resident: Bytes } {
    let size = 0;
    let resident = 0;
    for (const segment of this.table) {
      size += segment.pages.size();
      resident += segment.pages.residentBytes;
    }
    return { size, resident };
  }
}
