import { host } from '../platform/host.js';
import type { Bytes, HostFd, MemoryFile, Platform, PlatformAddressSpace } from '../platform/platform.js';
import type { Frames } from './frames.js';

/** What a memory manager needs from outside, so that tests can put a model in its place. One per sandbox. */
export interface MemoryEnvironment {
  readonly frames: Frames;
  readonly memory: MemoryFile;
  createAddressSpace(): PlatformAddressSpace;
  /** Reads a host file into the memory file. Bytes read or -errno. */
  readFile(fd: HostFd, memoryOffset: Bytes, length: Bytes, position: Bytes): number;
  /** Fills with random bytes: layout randomisation. */
  random(destination: Uint8Array): void;
}

export function memoryEnvironment(
  platform: Platform,
  frames: Frames,
  random: (destination: Uint8Array) => void,
): MemoryEnvironment {
  return {
    frames,
    memory: platform.memory,
    createAddressSpace: () => platform.createAddressSpace(),
    readFile: (fd, memoryOffset, length, position) => host.preadMemory(fd, memoryOffset, length, position),
    random,
  };
}
