/** A platform of arrays for mm's tests: remembers what the host would have mapped, page by page. */

import type { MapSource, MemoryFile, PlatformAddressSpace } from '../../platform/platform.js';
import type { MemoryEnvironment } from '../environment.js';
import { Frames } from '../frames.js';

const PAGE = 4096;

export class ArrayMemory implements MemoryFile {
  readonly bytes: Uint8Array;
  readonly words32: Int32Array;
  readonly view: DataView;
  constructor(readonly capacity: number) {
    const buffer = new ArrayBuffer(capacity);
    this.bytes = new Uint8Array(buffer);
    this.words32 = new Int32Array(buffer);
    this.view = new DataView(buffer);
  }
  ensure(): void {}
  copyToFresh(to: number, from: number, length: number): void {
    this.bytes.copyWithin(to, from, from + length);
  }

  discard(offset: number, length: number): void {
    this.bytes.fill(0, offset, offset + length);
  }
}

interface HostPage {
  file: number;
  offset: number;
  protection: number;
}

export class ModelSpace implements PlatformAddressSpace {
  readonly minAddress = 0x10000;
  readonly maxAddress = 0x7ffffffe0000;
  readonly pages = new Map<number, HostPage>();
  calls = 0;
  released = false;
  /** Only the one that maps files can clone, so that both ways of fork are tested. */
  readonly clone: (() => ModelSpace | null) | undefined;
  /** The host has no room for another process. */
  full = false;

  constructor(readonly mapsFiles: boolean) {
    if (!mapsFiles) return;
    this.clone = () => {
      if (this.full) return null;
      const copy = new ModelSpace(mapsFiles);
      for (const [address, page] of this.pages) copy.pages.set(address, { ...page });
      return copy;
    };
  }

  map(address: number, length: number, source: MapSource, offset: number, protection: number): void {
    this.calls++;
    if (address % PAGE || length % PAGE || offset % PAGE || length <= 0) throw new Error('unaligned map');
    for (let at = 0; at < length; at += PAGE) {
      this.pages.set(address + at, { file: source.kind === 'file' ? source.fd : -1, offset: offset + at, protection });
    }
  }
  unmap(address: number, length: number): void {
    this.calls++;
    if (address % PAGE || length % PAGE || length <= 0) throw new Error('unaligned unmap');
    if (length / PAGE > this.pages.size) {
      for (const page of this.pages.keys()) if (page >= address && page < address + length) this.pages.delete(page);
      return;
    }
    for (let at = 0; at < length; at += PAGE) this.pages.delete(address + at);
  }
  protect(address: number, length: number, protection: number): void {
    this.calls++;
    for (let at = 0; at < length; at += PAGE) {
      const page = this.pages.get(address + at);
      if (!page) throw new Error('protecting a hole: the host would stop there');
      page.protection = protection;
    }
  }
  cpuTime(): number {
    return 0;
  }
  release(): void {
    this.released = true;
  }
}

export interface ModelEnvironment extends MemoryEnvironment {
  readonly spaces: ModelSpace[];
  readonly files: Map<number, Uint8Array>;
}

export function modelEnvironment(capacity = 64 << 20, mapsFiles = true): ModelEnvironment {
  const memory = new ArrayMemory(capacity);
  const frames = new Frames(memory);
  const spaces: ModelSpace[] = [];
  const files = new Map<number, Uint8Array>();
  let seed = 1;
  return {
    memory,
    frames,
    spaces,
    files,
    createAddressSpace() {
      const space = new ModelSpace(mapsFiles);
      spaces.push(space);
      return space;
    },
    readFile(fd, memoryOffset, length, position) {
      const part = files.get(fd)!.subarray(position, position + length);
      memory.bytes.set(part, memoryOffset);
      return part.length;
    },
    random(destination) {
      for (let index = 0; index < destination.length; index++) {
        seed = (Math.imul(seed, 1103515245) + 12345) | 0;
        destination[index] = seed >>> 16;
      }
    },
  };
}
