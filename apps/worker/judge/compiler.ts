import { type CompilationDto, type ExecutionLimits, FIXED_LIMITS, WORK_DIRECTORY } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { ImageSpec, SandboxPool, SessionHandle } from '@cordon/pool';
import { environmentOf, GUEST_UID } from '../run-spec.js';
import { collectArtifacts } from './artifacts.js';
import { type Artifact, CompileCache } from './compile-cache.js';

/** Of what a compiler prints. */
const OUTPUT_SHOWN = 64 << 10;

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
      return { artifacts: await collectArtifacts(session), compilation: result, failure: null };
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
