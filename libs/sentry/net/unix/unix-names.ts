import { EADDRINUSE, ENOSPC } from '../../abi/errno.js';
import type { Inode } from '../../vfs/types.js';
import type { Socket } from '../socket.js';

/** Who is bound where: abstract names, and sockets by the inode of their path. One per sandbox. */
export class UnixNames {
  private readonly abstract = new Map<string, Socket>();
  /** Sockets live as long as they are open; their inodes may be unlinked or renamed meanwhile. */
  private readonly byInode = new Map<Inode, Socket>();
  private nextAutobind = 0;

  findAbstract(name: string): Socket | undefined {
    return this.abstract.get(name);
  }

  findInode(inode: Inode): Socket | undefined {
    return this.byInode.get(inode);
  }

  /** 0 or -EADDRINUSE. */
  bindAbstract(name: string, socket: Socket): number {
    if (this.abstract.has(name)) return -EADDRINUSE;
    this.abstract.set(name, socket);
    return 0;
  }

  bindInode(inode: Inode, socket: Socket): void {
    this.byInode.set(inode, socket);
  }

  /** unix(7) autobind: a free abstract name of five hexadecimal digits. */
  autobind(socket: Socket): string | number {
    for (let tries = 0; tries <= 0xfffff; tries++) {
      const name = `\0${this.nextAutobind.toString(16).padStart(5, '0')}`;
      this.nextAutobind = (this.nextAutobind + 1) & 0xfffff;
      if (this.bindAbstract(name, socket) === 0) return name;
    }
    return -ENOSPC;
  }

  unbind(socket: Socket, name: string, inode: Inode | null): void {
    if (inode) this.byInode.delete(inode);
    else if (name !== '' && this.abstract.get(name) === socket) this.abstract.delete(name);
  }
}
