import { O_RDWR } from '../../abi/fcntl.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import type { Inode } from '../../vfs/types.js';
import { POLLIN, POLLOUT } from '../../vfs/wait-queue.js';

/** landlock_create_ruleset(2): rules being put together. */
export class LandlockRuleset extends AnonymousFile {
  readonly displayName = 'anon_inode:[landlock-ruleset]';
  readonly rules = new Map<Inode, number>();

  constructor(readonly handled: number) {
    super(O_RDWR, anonymousPath());
  }

  override get pollable(): boolean {
    return false;
  }

  poll(): number {
    return POLLIN | POLLOUT;
  }
}
