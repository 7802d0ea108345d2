import { host } from './host.js';
import { type Bytes, type MemoryFile, PlatformError } from './platform.js';

/** Most guest memory one sandbox can ever hold: address space only, nothing is committed. */
export const MEMORY_FILE_CAPACITY = 4 * 1024 ** 3;

/**
 * The memory file. Its address range, and so every view of it, is made once in the zygote; `attach` puts a fresh memfd behind it
 * in each child, so that objects from before the fork stay valid.
 */
export class HostMemoryFile implements MemoryFile {
  readonly capacity: Bytes = MEMORY_FILE_CAPACITY;
  readonly bytes: Uint8Array;
  readonly words32: Int32Array;
  readonly view: DataView;

  constructor() {
    const buffer = host.memoryReserve(this.capacity);
    if (typeof buffer === 'number') throw new PlatformError(`memory file: errno ${-buffer}`);
    this.bytes = new Uint8Array(buffer);
    this.words32 = new Int32Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Precondition: nothing of an earlier guest is in use. */
  attach(): void {
    const result = host.memoryAttach();
    if (result < 0) throw new PlatformError(`memory file: errno ${-result}`);
  }

  detach(): void {
    host.memoryDetach();
  }

  /** The memfd has its full size from the start: it is sparse. */
  ensure(_size: Bytes): void {}

  copyToFresh(to: Bytes, from: Bytes, length: Bytes): void {
    const result = host.memoryCopy(to, from, length);
    if (result !== length) throw new PlatformError(`memory file: copying ${length} bytes gave ${result}`);
  }

  discard(offset: Bytes, length: Bytes): void {
    const result = host.memoryDiscard(offset, length);
    if (result < 0) throw new PlatformError(`memory file: punching a hole failed with errno ${-result}`);
  }
}
