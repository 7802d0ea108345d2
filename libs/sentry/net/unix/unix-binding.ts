import { EINVAL } from '../../abi/errno.js';
import type { Inode } from '../../vfs/types.js';
import type { Socket } from '../socket.js';
import type { UnixNames } from './unix-names.js';

/** Bound name and inode of a unix socket. */
export class UnixBinding {
  name = '';
  private inode: Inode | null = null;

  constructor(
    readonly names: UnixNames,
    private readonly socket: Socket,
  ) {}

  /** "" autobinds. -EINVAL when bound already, -EADDRINUSE. */
  bindAbstract(name: string): number {
    if (this.name !== '') return name === '' ? 0 : -EINVAL;
    if (name === '') {
      const chosen = this.names.autobind(this.socket);
      if (typeof chosen === 'number') return chosen;
      this.name = chosen;
      return 0;
    }
    const result = this.names.bindAbstract(name, this.socket);
    if (result === 0) this.name = name;
    return result;
  }

  bindInode(name: string, inode: Inode): void {
    this.name = name;
    this.inode = inode;
    this.names.bindInode(inode, this.socket);
  }

  release(): void {
    this.names.unbind(this.socket, this.name, this.inode);
    this.inode = null;
  }
}
