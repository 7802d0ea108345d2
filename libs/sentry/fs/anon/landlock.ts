import { O_RDWR } from '../../abi/fcntl.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import type { Inode } from '../../vfs/types.js';
import { POLLIN, POLLOUT } from '../../vfs/wait-queue.js';

/** Rules in all rulesets that are open. */
let openRules = 0;

export function rulesInOpenRulesets(): number {
  return openRules;
}

/** landlock_create_ruleset(2): rules being put together. */
export class LandlockRuleset extends AnonymousFile {
  readonly displayName = 'anon_inode:[landlock-ruleset]';
  readonly rules = new Map<Inode, number>();

  constructor(readonly handled: number) {
    super(O_RDWR, anonymousPath());
  }

  /** Gives rights at a place, besides those that a rule for it gives already. */
  give(inode: Inode, rights: number): void {
    const before = this.rules.get(inode);
    if (before === undefined) openRules++;
    this.rules.set(inode, (before ?? 0) | rights);
  }

  protected override close(): void {
    openRules -= this.rules.size;
    this.rules.clear();
  }

  override get pollable(): boolean {
    return false;
  }

  poll(): number {
    return POLLIN | POLLOUT;
  }
}
