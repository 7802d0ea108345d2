import { type GuestAddress, PAGE_SIZE, type PlatformAddressSpace } from '../platform/platform.js';

type Shape = Pick<PlatformAddressSpace, 'minAddress' | 'maxAddress' | 'mapsFiles'>;

const USUAL: Shape = { minAddress: 16 * PAGE_SIZE, maxAddress: 2 ** 47 - PAGE_SIZE, mapsFiles: true };

/** What no process of the host is behind: nothing is mapped, nothing ever runs. A child that the host had no room for, an idle init. */
export class NoSpace implements PlatformAddressSpace {
  readonly minAddress: GuestAddress;
  readonly maxAddress: GuestAddress;
  readonly mapsFiles: boolean;

  constructor({ minAddress, maxAddress, mapsFiles }: Shape = USUAL) {
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
