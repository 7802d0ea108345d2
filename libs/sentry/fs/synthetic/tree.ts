import type { Inode } from '../../vfs/types.js';
import { StaticDirectory, type SyntheticFileSystem } from './file-system.js';

/** A fixed tree under construction: directories are made as paths name them. */
export class TreeBuilder {
  private readonly made: Map<string, StaticDirectory>;

  constructor(
    private readonly fileSystem: SyntheticFileSystem,
    root: StaticDirectory,
  ) {
    this.made = new Map([['', root]]);
  }

  directory(path: string): StaticDirectory {
    const known = this.made.get(path);
    if (known) return known;
    const slash = path.lastIndexOf('/');
    const parent = this.directory(slash < 0 ? '' : path.slice(0, slash));
    const fresh = new StaticDirectory(this.fileSystem, 0o755);
    parent.add(path.slice(slash + 1), fresh);
    this.made.set(path, fresh);
    return fresh;
  }

  /** `path`: relative, without a slash at its start. */
  add(path: string, inode: Inode): void {
    const slash = path.lastIndexOf('/');
    this.directory(slash < 0 ? '' : path.slice(0, slash)).add(path.slice(slash + 1), inode);
  }
}
