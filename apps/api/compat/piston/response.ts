import type { CompilationDto, ExecutionDto, RuntimeDto } from '@cordon/contracts';
import { versionOf } from './request.js';

/** One stage as Piston reports it; times in ms, memory in bytes. */
export interface PistonStage {
  readonly stdout: string;
  readonly stderr: string;
  /** Both streams in the order they were written. */
  readonly output: string;
  readonly code: number | null;
  readonly signal: string | null;
  readonly message: string | null;
  /** RE exit status, SG signal, TO time, OL output, XX the service itself; null when all is well. */
  readonly status: 'RE' | 'SG' | 'TO' | 'OL' | 'XX' | null;
  readonly cpu_time: number | null;
  readonly wall_time: number | null;
  readonly memory: number | null;
}

export interface PistonAnswer {
  readonly language: string;
  readonly version: string;
  readonly run: PistonStage;
  readonly compile?: PistonStage;
}

export type StagedExecution = ExecutionDto & { readonly compilation?: CompilationDto };

/** What a run has written, gathered from its events. */
export interface Written {
  readonly stdout: string;
  readonly stderr: string;
  readonly output: string;
}

export type Verdict = Pick<PistonStage, 'code' | 'signal' | 'status' | 'message'>;

const killed = (status: PistonStage['status'], message: string): Verdict => ({
  code: null,
  signal: 'SIGKILL',
  status,
  message,
});

export function verdictOf({ state, exitCode, signal, detail }: StagedExecution): Verdict {
  switch (state) {
    case 'succeeded':
      return { code: 0, signal: null, status: null, message: null };
    case 'failed':
      return signal === null
        ? { code: exitCode, signal: null, status: 'RE', message: null }
        : { code: null, signal, status: 'SG', message: null };
    case 'timed_out':
      return killed('TO', 'Time limit exceeded');
    case 'cpu_exceeded':
      return killed('TO', 'CPU time limit exceeded');
    case 'output_exceeded':
      return killed('OL', 'stdout length exceeded');
    case 'memory_exceeded':
      return killed('SG', 'Memory limit exceeded');
    default:
      return { code: null, signal: null, status: 'XX', message: detail ?? state };
  }
}

export function compilerVerdict({ ok, exitCode }: CompilationDto): Verdict {
  if (ok) return { code: 0, signal: null, status: null, message: null };
  // A compiler without an exit status was ended by a limit.
  if (exitCode === null) return killed('TO', 'The compiler was ended');
  return { code: exitCode, signal: null, status: 'RE', message: null };
}

function compileStage(compilation: CompilationDto): PistonStage {
  const { output, cpuMs, wallMs } = compilation;
  return {
    stdout: '',
    stderr: output,
    output,
    ...compilerVerdict(compilation),
    cpu_time: Math.round(cpuMs),
    wall_time: Math.round(wallMs),
    memory: null,
  };
}

/** The answer of POST /execute. As Piston does, a compilation that failed stands for the run as well. */
export function answerOf(runtime: RuntimeDto, execution: StagedExecution, written: Written): PistonAnswer {
  const { compilation, usage } = execution;
  const compile = compilation && compileStage(compilation);
  const run: PistonStage = {
    ...written,
    ...verdictOf(execution),
    // Whole numbers: clients in languages with types take nothing else.
    cpu_time: usage ? Math.round(usage.cpuMs) : null,
    wall_time: usage ? Math.round(usage.wallMs) : null,
    memory: usage?.memoryPeakBytes ?? null,
  };
  return {
    language: runtime.id,
    version: versionOf(runtime),
    run: compile && !compilation.ok ? compile : run,
    ...(compile ? { compile } : {}),
  };
}
