import { discard, give, restore } from './fork-copies.js';
import type { MemoryManager } from './memory-manager.js';
import { NoSpace } from './no-space.js';
import { blockOf, PageTable, PTE_FILE, PTE_FRAME, PTE_MAPPED, PTE_PRESENT, PTE_WRITABLE } from './page-table.js';
import { VM_DONTFORK, VM_LOCKED, VM_WIPEONFORK, type Vma } from './vma.js';

/** fork(2): the child's memory, or null when the host has no room for another process. */
export function fork(parent: MemoryManager): MemoryManager | null {
  const { items } = parent.vmas;
  const cloned = parent.space.clone !== undefined;
  const table = new PageTable();
  const copies = parent.forkCopies.take(parent);
  const unmappings = parent.unmappings;
  // All protecting comes before all copying: it may unmap everything once (the budget of host calls).
  for (const vma of items) if ((vma.flags & (VM_DONTFORK | VM_WIPEONFORK)) === 0) shareFrames(parent, vma);
  for (const vma of items) {
    if ((vma.flags & (VM_DONTFORK | VM_WIPEONFORK)) === 0) copyEntries(parent, table, vma, cloned);
  }
  restore(parent, copies, parent.unmappings !== unmappings);
  const space = cloned ? parent.space.clone?.() : undefined;
  if (space === null) {
    // What was shared goes back to having one owner.
    parent.emptyCopy(new NoSpace(parent.space), table).release();
    discard(parent, copies);
    return null;
  }
  const child = parent.emptyCopy(space, table);
  child.forkCopies = parent.forkCopies;
  if (cloned) child.inheritHostCalls(parent);
  for (const vma of items) {
    if (cloned && (vma.flags & (VM_DONTFORK | VM_WIPEONFORK)) !== 0) child.hostUnmap(vma.start, vma.end);
    if ((vma.flags & VM_DONTFORK) !== 0) continue;
    const copy = vma.copyFor(child);
    // Locks are not inherited.
    copy.flags &= ~VM_LOCKED;
    child.vmas.items.push(copy);
    copy.attach();
    child.virtualSize += copy.length;
  }
  give(child, copies);
  return child;
}

/** First half: a VMA's frames get another owner, and the host may no longer let the guest write private ones. */
function shareFrames(parent: MemoryManager, vma: Vma): void {
  const { frames } = parent;
  let writable = false;
  parent.table.visit(vma.start, vma.end, (block, _base, first, last) => {
    for (let slot = first; slot < last; slot++) {
      const entry = block[slot];
      if ((entry & PTE_PRESENT) === 0) continue;
      frames.retain(entry & PTE_FRAME);
      if ((entry & PTE_WRITABLE) !== 0) writable = true;
    }
  });
  if (writable && !vma.shared) parent.protectPages(vma, vma.start, vma.end, vma.protection);
}

/** Second half: the entries of a VMA for the child, whose host mappings are the parent's (`cloned`) or none yet. No host calls. */
function copyEntries({ table }: MemoryManager, into: PageTable, vma: Vma, cloned: boolean): void {
  const kept = PTE_PRESENT | PTE_FRAME | (cloned ? PTE_MAPPED | PTE_WRITABLE | PTE_FILE : 0);
  const copied = PTE_PRESENT | (cloned ? PTE_MAPPED : 0);
  table.visit(vma.start, vma.end, (block, base, first, last) => {
    let copy: Int32Array | undefined;
    for (let slot = first; slot < last; slot++) {
      const entry = block[slot];
      if ((entry & copied) === 0) continue;
      copy ??= into.obtain(blockOf(base));
      copy[slot] = entry & kept;
    }
  });
}
