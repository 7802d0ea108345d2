import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';

/** A file of a finished compilation. Paths are absolute, inside the sandbox. */
export interface Artifact {
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

/** Most bytes kept on disk; the least recently used go first. */
const CACHE_BYTES = 512 << 20;

/** Compilations by what they depend on. Survives restarts; written whole or not at all. Failing to read or write costs time, nothing else. */
export class CompileCache {
  /** `directory`: made when first needed; null: nothing is kept. */
  constructor(private readonly directory: string | null) {}

  /** The same for equal source, commands, environment and compiler. */
  static keyOf(parts: unknown): string {
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  }

  async get(key: string): Promise<Artifact[] | null> {
    if (this.directory === null) return null;
    const path = join(this.directory, key);
    try {
      const artifacts = deserialize(await readFile(path)) as Artifact[];
      const now = new Date();
      await utimes(path, now, now);
      return artifacts;
    } catch {
      return null;
    }
  }

  async put(key: string, artifacts: readonly Artifact[]): Promise<void> {
    if (this.directory === null) return;
    const temporary = join(this.directory, `.${randomUUID()}`);
    try {
      await mkdir(this.directory, { recursive: true, mode: 0o700 });
      await writeFile(temporary, serialize(artifacts), { mode: 0o600 });
      await rename(temporary, join(this.directory, key));
      await this.trim(this.directory);
    } catch {
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }

  private async trim(directory: string): Promise<void> {
    const entries = await Promise.all(
      (await readdir(directory)).map(async (name) => {
        const { size, mtimeMs } = await stat(join(directory, name));
        return { name, size, mtimeMs };
      }),
    );
    let total = entries.reduce((sum, { size }) => sum + size, 0);
    for (const { name, size } of entries.sort((one, other) => one.mtimeMs - other.mtimeMs)) {
      if (total <= CACHE_BYTES) return;
      await rm(join(directory, name), { force: true });
      total -= size;
    }
  }
}
