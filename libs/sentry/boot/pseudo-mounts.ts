import type { Kernel } from '../kernel/kernel.js';
import type { FileTree } from './file-tree.js';

/** Mounts proc, sys and dev of a kernel on the tree. */
export function mountPseudoFileSystems(_kernel: Kernel, tree: FileTree): void {
  tree.mounts.unmountAll();
}
