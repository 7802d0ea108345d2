import { type CompilationDto, type ExecutionLimits, FIXED_LIMITS, WORK_DIRECTORY } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { ImageSpec, SandboxPool, SessionHandle } from '@cordon/pool';
import { environmentOf, GUEST_UID } from '../run-spec.js';
import { type Artifact, CompileCache } from './compile-cache.js';

/** Of what a compiler prints. */
const OUTPUT_SHOWN = 64 << 10;
/** What a compilation may leave, in bytes and files. */
const ARTIFACT_BYTES = 64 << 20;
const ARTIFACT_FILES = 1000;
const CHUNK = 64 << 10;

export interface Source {
  readonly runtime: DiscoveredRuntime;
  readonly files: readonly Artifact[];
  readonly limits: ExecutionLimits;
}

/** `artifacts`: what to run it with; null when it did not compile. `failure`: the judge's own, not the program's. */
export interface Compiled {
  readonly artifacts: readonly Artifact[] | null;
  readonly compilation: CompilationDto | null;
  readonly failure: string | null;
}

/** Compiles in a sandbox of its own and takes out what was made. */
export class Compiler {
  constructor(
    private readonly pool: SandboxPool,
    private readonly image: ImageSpec,
    private readonly cache: CompileCache,
  ) {}

  async compile(source: Source, gone: AbortSignal): Promise<Compiled> {
    const { runtime, files } = source;
    if (!runtime.compile) return { artifacts: files, compilation: null, failure: null };
    const key = CompileCache.keyOf([
      runtime.id,
      runtime.version,
      runtime.compile,
      runtime.env ?? {},
      this.image.name,
      files.map(({ path, content }) => [path, Buffer.from(content).toString('base64')]),
    ]);
    const known = await this.cache.get(key);
    if (known) {
      const compilation = { ok: true, cached: true, output: '', exitCode: 0, cpuMs: 0, wallMs: 0 };
      return { artifacts: known, compilation, failure: null };
    }
    const compiled = await this.run(source, runtime.compile, gone);
    if (compiled.artifacts && compiled.failure === null) await this.cache.put(key, compiled.artifacts);
    return compiled;
  }

  private async run(
    { runtime, files, limits }: Source,
    command: readonly string[],
    gone: AbortSignal,
  ): Promise<Compiled> {
    const env = environmentOf(runtime, {});
    const session = this.pool.open(
      {
        id: 'compile',
        image: this.image,
        env,
        cwd: WORK_DIRECTORY,
        uid: GUEST_UID,
        gid: GUEST_UID,
        hostname: 'sandbox',
        limits: { ...limits, ...FIXED_LIMITS },
        auditLevel: 'off',
        network: 'none',
        cpus: 1,
        files,
      },
      {},
    );
    const stop = (): void => session.end();
    gone.addEventListener('abort', stop, { once: true });
    try {
      return await this.runIn(session, command, env, limits);
    } finally {
      gone.removeEventListener('abort', stop);
      session.end();
      await session.ended;
    }
  }

  private async runIn(
    session: SessionHandle,
    argv: readonly string[],
    env: readonly string[],
    limits: ExecutionLimits,
  ): Promise<Compiled> {
    const output: Buffer[] = [];
    let length = 0;
    let compilation: CompilationDto | null = null;
    let timedOut = false;
    const closed = new Promise<void>((resolve, reject) => {
      session
        .start(
          {
            argv,
            env,
            cwd: WORK_DIRECTORY,
            uid: GUEST_UID,
            gid: GUEST_UID,
            stdin: false,
            terminal: false,
            timeoutMs: limits.wallTimeMs,
          },
          {
            output: (_descriptor, bytes) => {
              if (length < OUTPUT_SHOWN) output.push(Buffer.from(bytes.subarray(0, OUTPUT_SHOWN - length)));
              length += bytes.length;
            },
            exit: ({ exitCode, cpuMs, wallMs, timedOut: late }) => {
              timedOut = late;
              compilation = { ok: exitCode === 0, cached: false, output: '', exitCode, cpuMs, wallMs };
            },
            closed: resolve,
          },
        )
        .catch(reject);
    });
    try {
      await Promise.race([closed, session.ended]);
    } catch (error) {
      return { artifacts: null, compilation: null, failure: `the compiler did not start: ${(error as Error).message}` };
    }
    const text = Buffer.concat(output).toString('utf8');
    const done = compilation as CompilationDto | null;
    if (done === null) return this.endedEarly(session, text);
    const result = { ...done, output: timedOut ? `${text}\n(the compiler took too long)` : text };
    if (!result.ok) return { artifacts: null, compilation: result, failure: null };
    try {
      return { artifacts: await collect(session), compilation: result, failure: null };
    } catch (error) {
      const compilation = { ...result, ok: false, output: `${text}\n(${(error as Error).message})` };
      return { artifacts: null, compilation, failure: null };
    }
  }

  /** The sandbox ended before the compiler: a limit struck, or it failed. */
  private async endedEarly(session: SessionHandle, text: string): Promise<Compiled> {
    const { reason, detail, usage } = await session.ended;
    if (reason === 'error') return { artifacts: null, compilation: null, failure: detail ?? 'the sandbox failed' };
    const output = `${text}\n(the compiler was ended: ${reason})`;
    const { cpuMs, wallMs } = usage;
    return {
      artifacts: null,
      compilation: { ok: false, cached: false, output, exitCode: null, cpuMs, wallMs },
      failure: null,
    };
  }
}

/** All regular files below the work directory. Throws RangeError when they are too many or too big. */
async function collect(session: SessionHandle): Promise<Artifact[]> {
  const found: Artifact[] = [];
  let total = 0;
  const visit = async (directory: string): Promise<void> => {
    for (let offset: number | null = 0; offset !== null; ) {
      const { reply }: { reply: Awaited<ReturnType<SessionHandle['ask']>>['reply'] } = await session.ask({
        op: 'list',
        path: directory,
        offset,
      });
      for (const { name, type, size, mode } of reply.entries ?? []) {
        const path = `${directory}/${name}`;
        if (type === 'directory') await visit(path);
        if (type !== 'file') continue;
        total += size;
        if (total > ARTIFACT_BYTES || found.length >= ARTIFACT_FILES)
          throw new RangeError('the compiler left too much');
        found.push({ path, mode, content: await read(session, path, size) });
      }
      offset = reply.next ?? null;
    }
  };
  await visit(WORK_DIRECTORY);
  return found;
}

async function read(session: SessionHandle, path: string, size: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for (let offset = 0; offset < size; ) {
    const { bytes } = await session.ask({ op: 'read', path, offset, length: CHUNK });
    if (bytes.length === 0) break;
    chunks.push(Buffer.from(bytes));
    offset += bytes.length;
  }
  return Buffer.concat(chunks);
}
