import { CONTEXT_RESULT_BYTES, type ContextLanguage, LINK_CHUNK_BYTES } from '@cordon/contracts';
import type { SessionExit } from '@cordon/pool';
import type { LiveSandbox } from '../sandboxes/live-sandbox.js';
import { DRIVERS } from './drivers.js';
import { FrameSplitter } from './frames.js';
import type { DriverEvent, DriverRun, Wire } from './wire.js';

/** JSON may make six characters of one. */
const FRAME_BYTES = 6 * CONTEXT_RESULT_BYTES + 65_536;
const READY_MS = 60_000;
const SIGINT = 2;
const SIGKILL = 9;

/** Where and as whom it runs. */
export interface Place {
  readonly language: ContextLanguage;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly root: boolean;
}

export interface InterpreterHandlers {
  event(event: DriverEvent): void | Promise<void>;
  /** Nothing comes any more. `how` says what became of it; the status is null when it did not exit by itself. */
  ended(how: string, exitCode: number | null): void | Promise<void>;
}

/** It never came to take code: what it said on its way. */
export class StartFailed extends Error {
  override readonly name = 'StartFailed';
  constructor(
    readonly absent: boolean,
    message: string,
  ) {
    super(message);
  }
}

/** One driver that runs in a sandbox. */
export class Interpreter {
  private stream = 0;
  /** Takes requests; false once it has ended. */
  alive = true;
  private readonly decoders = [new TextDecoder(), new TextDecoder()];
  private readonly splitter: FrameSplitter;
  private readonly wire: Wire;
  private violated = false;

  private constructor(
    private readonly live: LiveSandbox,
    private readonly language: ContextLanguage,
    private readonly handlers: InterpreterHandlers,
  ) {
    this.wire = DRIVERS[language].wire();
    this.splitter = new FrameSplitter(() => this.wire.token, FRAME_BYTES, {
      output: (bytes) => this.text('stdout', this.decoders[0].decode(bytes, { stream: true })),
      frame: (payload) => this.frame(payload),
    });
  }

  /** Resolves when it takes code. Rejects with StartFailed, SessionError (the directory), SessionEnded. */
  static async start(
    live: LiveSandbox,
    { language, cwd, env, root }: Place,
    handlers: InterpreterHandlers,
  ): Promise<Interpreter> {
    await live.ask({ op: 'list', path: cwd, offset: 0, root });
    let begun = false;
    let said = '';
    let begin: (error: StartFailed | null) => void = () => undefined;
    const ready = new Promise<void>((resolve, reject) => {
      begin = (error) => (error ? reject(error) : resolve());
    });
    ready.catch(() => undefined);
    const interpreter = new Interpreter(live, language, {
      event: (event) => {
        if (begun) return handlers.event(event);
        if (event.type === 'stdout' || event.type === 'stderr') said = (said + event.text).slice(-4000);
        if (event.type !== 'ready') return;
        begun = true;
        begin(null);
      },
      ended: (how, exitCode) => {
        if (begun) return handlers.ended(how, exitCode);
        begin(new StartFailed(how.endsWith('127'), `${how} before it took code: ${said.trim()}`));
      },
    });
    await interpreter.spawn({ cwd, env, root });
    const timer = setTimeout(() => {
      begin(new StartFailed(false, `it was not ready within ${READY_MS / 1000} s`));
      interpreter.kill();
    }, READY_MS);
    try {
      await interpreter.send(interpreter.wire.hello());
      await ready;
      if (!interpreter.alive) throw new StartFailed(false, 'it ended as soon as it began');
    } finally {
      clearTimeout(timer);
    }
    return interpreter;
  }

  private async spawn({ cwd, env, root }: Omit<Place, 'language'>): Promise<void> {
    const { argv, env: own } = DRIVERS[this.language];
    try {
      const { stream } = await this.live.spawn(
        { argv, env: { ...env, ...own }, cwd, root, stdin: true, terminal: false, timeoutMs: null },
        {
          output: (descriptor, bytes) => this.output(descriptor, bytes),
          exit: (exit) => this.over(exit),
          closed: () => this.over(null),
        },
      );
      this.stream = stream;
    } catch (error) {
      if ((error as { errno?: string }).errno === 'ENOENT') throw new StartFailed(true, `${argv[0]}: not found`);
      throw error;
    }
  }

  /** Its events follow. An interpreter that ends meanwhile says so itself. */
  run(run: DriverRun): void {
    this.tell(this.wire.run(run));
  }

  /** What an interpreter that has ended is told is forgotten. */
  private tell(request: string): void {
    this.send(request).catch(() => undefined);
  }

  private async send(request: string): Promise<void> {
    const bytes = Buffer.from(request);
    for (let at = 0; at < bytes.length && this.alive; at += LINK_CHUNK_BYTES)
      await this.live.ask({ op: 'stdin', process: this.stream }, bytes.subarray(at, at + LINK_CHUNK_BYTES));
  }

  /** As Ctrl-C at a terminal: to the code, and to the programs it has started. */
  interrupt(): void {
    const request = this.wire.interrupt();
    if (request !== null) this.tell(request);
    this.signal(SIGINT);
  }

  kill(): void {
    this.signal(SIGKILL);
  }

  private signal(signal: number): void {
    if (!this.alive) return;
    // Gone in the meantime: its end is on the way.
    void this.live.ask({ op: 'signal', process: this.stream, signal }).catch(() => undefined);
  }

  private async output(descriptor: 1 | 2, bytes: Buffer): Promise<void> {
    if (this.violated) return;
    if (descriptor === 2) return this.text('stderr', this.decoders[1].decode(bytes, { stream: true }));
    try {
      await this.splitter.push(bytes);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof SyntaxError || error instanceof TypeError)) throw error;
      this.violated = true;
      this.kill();
    }
  }

  private text(type: 'stdout' | 'stderr', text: string): void | Promise<void> {
    if (text !== '') return this.handlers.event({ type, text });
  }

  private async frame(payload: string): Promise<void> {
    const { events, answer } = this.wire.frame(JSON.parse(payload));
    if (answer !== undefined) this.tell(answer);
    for (const event of events) {
      if (event.type === 'end') await this.flush();
      await this.handlers.event(event);
    }
  }

  /** Halves of characters whose rest does not come. */
  private async flush(): Promise<void> {
    await this.text('stdout', this.decoders[0].decode());
    await this.text('stderr', this.decoders[1].decode());
  }

  private async over(exit: SessionExit | null): Promise<void> {
    if (!this.alive) return;
    this.alive = false;
    await this.splitter.end();
    await this.flush();
    if (this.violated) await this.handlers.ended('it broke the protocol and was killed', null);
    else await this.handlers.ended(describe(exit), exit?.exitCode ?? null);
  }
}

function describe(exit: SessionExit | null): string {
  if (exit === null) return 'the sandbox has ended';
  if (exit.signal !== null) return `the interpreter was killed by ${exit.signal}`;
  return `the interpreter exited with ${exit.exitCode}`;
}
