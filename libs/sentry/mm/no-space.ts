import type { GuestAddress, PlatformAddressSpace } from '../platform/platform.js';

/** The address space of a child that the host had no room for: nothing is mapped, nothing ever ran. */
export class NoSpace implements PlatformAddressSpace {
  readonly minAddress: GuestAddress;
  readonly maxAddress: GuestAddress;
  readonly mapsFiles: boolean;

  constructor({ minAddress, maxAddress, mapsFiles }: PlatformAddressSpace) {
    this.minAddress = minAddress;
    this.maxAddress = maxAddress;
    this.mapsFiles = mapsFiles;
  }

  map(): void {}

  unmap(): void {}

  protect(): void {}

  cpuTime(): number {
    return 0;
  }

  release(): void {}
}
