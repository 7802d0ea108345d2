import type { components } from './schema.js';
import type { CallOptions, Transport } from './transport.js';

export type SandboxFile = components['schemas']['SandboxFileDto'];

export interface FileOptions extends CallOptions {
  /** Whose permissions hold, and whose new files are; root: of the sandbox only. Default user. */
  readonly user?: 'user' | 'root';
}

/** Files of one sandbox. Paths are absolute, or relative to /work. */
export class SandboxFiles {
  constructor(
    private readonly transport: Transport,
    private readonly place: string,
  ) {}

  read(path: string, { user, signal }: FileOptions = {}): Promise<Uint8Array> {
    return this.transport.bytes({ method: 'GET', path: this.place, query: { path, user }, signal });
  }

  async readText(path: string, options: FileOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options));
  }

  /** As it comes. */
  stream(path: string, { user, signal }: FileOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return this.transport.stream({ method: 'GET', path: this.place, query: { path, user }, signal });
  }

  /** All of it, or nothing: parents are made, and a file that is there is replaced at once. `mode`: permission bits. */
  write(
    path: string,
    content: string | Uint8Array,
    { mode, user, signal }: FileOptions & { mode?: number } = {},
  ): Promise<{ bytes: number }> {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : new Uint8Array(content);
    return this.transport.json({
      method: 'PUT',
      path: this.place,
      query: { path, user, mode: mode?.toString(8) },
      bytes,
      signal,
    });
  }

  async list(path: string, { user, signal }: FileOptions = {}): Promise<SandboxFile[]> {
    const { items } = await this.transport.json<components['schemas']['SandboxFileListDto']>({
      method: 'GET',
      path: `${this.place}/list`,
      query: { path, user },
      signal,
    });
    return items;
  }

  stat(path: string, { user, signal }: FileOptions = {}): Promise<SandboxFile> {
    return this.transport.json({ method: 'GET', path: `${this.place}/stat`, query: { path, user }, signal });
  }

  /** With its parents; one that is there is no error. */
  mkdir(path: string, { user, signal }: FileOptions = {}): Promise<void> {
    return this.transport.nothing({ method: 'POST', path: `${this.place}/mkdir`, body: { path, user }, signal });
  }

  move(from: string, to: string, { user, signal }: FileOptions = {}): Promise<void> {
    return this.transport.nothing({
      method: 'POST',
      path: `${this.place}/move`,
      body: { from, to, user },
      once: true,
      signal,
    });
  }

  remove(path: string, { recursive, user, signal }: FileOptions & { recursive?: boolean } = {}): Promise<void> {
    const query = { path, user, recursive: recursive ? 'true' : undefined };
    return this.transport.nothing({ method: 'DELETE', path: this.place, query, once: true, signal });
  }
}
