import { S_IFREG } from '../../abi/stat.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Bytes } from '../../platform/platform.js';
import type { MemoryFileSystem } from '../tmpfs/memory-file-system.js';
import { BackedFile } from './backed-file.js';

/** A small file the image itself provides (/etc/passwd): bytes of the Sentry until a guest changes it. */
export class StaticFile extends BackedFile {
  constructor(
    fileSystem: MemoryFileSystem,
    number: number,
    mode: number,
    private content: Uint8Array,
    uid = 0,
    gid = 0,
  ) {
    super(fileSystem, number, S_IFREG | (mode & 0o7777), uid, gid);
    this.length = content.length;
  }

  protected override get blocks(): number {
    return Math.ceil(this.length / 4096) * 8;
  }

  protected override readBacking(io: IoBuffer, offset: Bytes): number {
    return io.put(this.content, offset, this.content.length - offset);
  }

  protected override fill(memoryOffset: Bytes, length: Bytes, offset: Bytes): number {
    this.fileSystem.frames.bytes.set(this.content.subarray(offset, offset + length), memoryOffset);
    return 0;
  }

  protected override dropBacking(): void {
    this.content = new Uint8Array(0);
  }
}
