import { SIGNAL_NAMES } from '../abi/signal.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Nanoseconds } from '../platform/platform.js';
import type { EndReason, EndReport } from './boot-message.js';

const MILLISECOND: Nanoseconds = 1e6;

/** What a shell answers for a program that is not there, or cannot be run. */
export const EXIT_NOT_FOUND = 127;
export const EXIT_NOT_EXECUTABLE = 126;

export interface RunFacts {
  readonly kernel: Kernel;
  readonly startedAt: Nanoseconds;
  readonly now: Nanoseconds;
  readonly cpuTime: Nanoseconds;
  readonly auditTruncated: boolean;
}

function usage(facts: RunFacts): EndReport['usage'] {
  const { kernel, now, startedAt, cpuTime } = facts;
  return {
    wallMs: (now - startedAt) / MILLISECOND,
    cpuMs: cpuTime / MILLISECOND,
    memoryPeakBytes: kernel.frames.peak,
    syscalls: kernel.syscallCount,
  };
}

/** How the run ended, from what the kernel knows. */
export function endReport(facts: RunFacts): EndReport {
  const { kernel } = facts;
  const reason: EndReason = kernel.endReason ?? 'error';
  const status = kernel.init.exitStatus ?? 0;
  const signal = status & 0x7f;
  return {
    reason,
    exitCode: reason === 'exited' ? (status >> 8) & 0xff : null,
    signal: reason === 'signaled' ? (SIGNAL_NAMES[signal] ?? `SIG${signal}`) : null,
    detail: kernel.endDetail,
    usage: usage(facts),
    auditTruncated: facts.auditTruncated,
    platform: kernel.platform.name,
  };
}

/** The program could not even be started. */
export function loadFailure(facts: RunFacts, exitCode: number, detail: string): EndReport {
  return {
    reason: 'exited',
    exitCode,
    signal: null,
    detail,
    usage: usage(facts),
    auditTruncated: false,
    platform: facts.kernel.platform.name,
  };
}
