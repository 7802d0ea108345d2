import { constants } from 'node:os';
import { type ExecutionDto, sameLines } from '@cordon/contracts';
import type { StagedExecution } from '../piston/response.js';
import { bytesOf, type Content } from './base64.js';

export const STATUSES = [
  { id: 1, description: 'In Queue' },
  { id: 2, description: 'Processing' },
  { id: 3, description: 'Accepted' },
  { id: 4, description: 'Wrong Answer' },
  { id: 5, description: 'Time Limit Exceeded' },
  { id: 6, description: 'Compilation Error' },
  { id: 7, description: 'Runtime Error (SIGSEGV)' },
  { id: 8, description: 'Runtime Error (SIGXFSZ)' },
  { id: 9, description: 'Runtime Error (SIGFPE)' },
  { id: 10, description: 'Runtime Error (SIGABRT)' },
  { id: 11, description: 'Runtime Error (NZEC)' },
  { id: 12, description: 'Runtime Error (Other)' },
  { id: 13, description: 'Internal Error' },
  { id: 14, description: 'Exec Format Error' },
] as const;
type Status = (typeof STATUSES)[number];

const status = (id: number): Status => STATUSES[id - 1];
const BY_SIGNAL: Readonly<Record<string, number>> = { SIGSEGV: 7, SIGXFSZ: 8, SIGFPE: 9, SIGABRT: 10 };
const SIGKILL = constants.signals.SIGKILL;

export interface Outcome {
  readonly status: Status;
  readonly message: string | null;
  readonly exitCode: number | null;
  readonly exitSignal: number | null;
}

const outcome = (
  id: number,
  message: string | null,
  exitCode: number | null = null,
  exitSignal: number | null = null,
): Outcome => ({ status: status(id), message, exitCode, exitSignal });

/** As Judge0 tells it, in isolate's words. `cpuLimitMs`: without the time that the program had on top before it was ended. */
export function outcomeOf(execution: StagedExecution, expected: Content | null, cpuLimitMs: number): Outcome {
  const { state, exitCode, signal, compilation, usage, detail } = execution;
  switch (state) {
    case 'queued':
      return outcome(1, null);
    case 'running':
      return outcome(2, null);
    case 'timed_out':
      return outcome(5, 'Time limit exceeded (wall clock)');
    case 'cpu_exceeded':
      return outcome(5, 'Time limit exceeded');
    case 'output_exceeded':
      return outcome(8, `Caught fatal signal ${constants.signals.SIGXFSZ}`, null, constants.signals.SIGXFSZ);
    case 'memory_exceeded':
      return outcome(12, `Caught fatal signal ${SIGKILL}`, null, SIGKILL);
    case 'canceled':
    case 'error':
      return outcome(13, detail ?? state);
    default:
  }
  if (compilation && !compilation.ok) return outcome(6, null);
  if ((usage?.cpuMs ?? 0) > cpuLimitMs) return outcome(5, 'Time limit exceeded');
  if (signal !== null) {
    const number = constants.signals[signal as NodeJS.Signals] ?? 0;
    return outcome(BY_SIGNAL[signal] ?? 12, `Caught fatal signal ${number}`, null, number);
  }
  if (exitCode !== 0) return outcome(11, `Exited with error code ${exitCode}`, exitCode);
  const right = expected === null || sameOutput(expected, execution);
  return outcome(right ? 3 : 4, null, 0);
}

/** Where both are text, as text; else byte by byte. */
function sameOutput(expected: Content, { stdout, stdoutEncoding }: ExecutionDto): boolean {
  if (typeof expected === 'string' && stdoutEncoding === 'utf8') return sameLines(expected, stdout);
  return sameLines(bytesOf(expected).toString('latin1'), Buffer.from(stdout, stdoutEncoding).toString('latin1'));
}
