import { describe, expect, it } from 'vitest';
import { compile, runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

/** Programs that print only what must be the same in both worlds. */
const PROGRAMS: readonly (readonly [subject: string, source: string])[] = [
  ['fork, wait, orphans, process groups, job control', 'fork-wait.c'],
  ['stopped members of orphaned process groups', 'stopped-groups.c'],
  ['semaphores and conditions in files opened by each process', 'named-semaphores.c'],
  ['system calls that the program itself takes over', 'user-dispatch.c'],
  ['seccomp: programs, verdicts, inheritance, threads', 'seccomp.c'],
  ['ptrace: stops, attaching, group-stops, tracers that end', 'ptrace-stops.c'],
  ['ptrace: memory, registers, system calls', 'ptrace-state.c'],
  ['ptrace: breakpoints and steps in code that calls the kernel often, beside running threads', 'ptrace-sites.c'],
  ['ptrace: events, threads, exec, signal queues', 'ptrace-events.c'],
  ['executable mappings after many system calls', 'executable-mappings.c'],
  ['processes and threads that wake each other without a pause', 'hand-over.c'],
  ['exceptions of the processor', 'exceptions.c'],
  ['signal frames, alternate stacks, masks, restarts, vector registers', 'signal-frames.c'],
  ['threads, futexes, robust and PI mutexes, exit and exec from threads', 'threads.c'],
  ['every futex command, futex_waitv, membarrier', 'futexes.c'],
  ['exec from threads beside spinning ones', 'exec-from-threads.c'],
  ['a named semaphore opened by unrelated processes, /proc/self/exe', 'named-semaphore.c'],
  ['looking at others, settings, positions, exclusive wakes', 'inspection.c'],
  ['user time and system time', 'cpu-times.c'],
  ['clocks, interval timers, POSIX timers, CPU time', 'timers.c'],
];

describe('processes, signals, threads and timers', () => {
  it.each(PROGRAMS)('%s: as natively', async (_subject, source) => {
    const { native, guest } = await runBoth({
      argv: ['./program'],
      files: { program: compile(source, ['-O1', '-mavx2', '-pthread', '-w']) },
    });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it('processes that trace each other end with the sandbox; one whose first process is stopped ends by its time', async () => {
    const files = { program: compile('ptrace-cycles.c') };
    const each = await runGuest({ argv: ['./program', 'each other'], files });
    expect(each.stdout).toBe('the child traces its parent y\nthe parent its child 0\nand itself -1\n');
    expect(each.report).toMatchObject({ reason: 'exited', exitCode: 7 });
    const stopped = await runGuest({ argv: ['./program', 'first'], files, limits: { wallTimeMs: 500 } });
    expect(stopped.report.reason).toBe('timed_out');
  });

  it('seccomp filters see the 32-bit entry as another architecture', async () => {
    // Some kernels have no such entry, so nothing to compare with.
    const guest = await runGuest({ argv: ['./program', 'old-entry'], files: { program: compile('seccomp.c') } });
    expect(guest.stdout).toBe('-- int 0x80\nbefore\nchild killed by 31\n');
  });

  it('ITIMER_VIRTUAL counts user time alone; the load average busy tasks, in /proc/loadavg and sysinfo alike', async () => {
    const guest = await runGuest({ argv: ['./program', 'load'], files: { program: compile('cpu-times.c') } });
    expect(guest.stdout).toBe(
      'user time alone: 1\n6 fields\nfalling 1, above 0 1, at most one task 1\nsame 1, running 1 of 1, last 1\n',
    );
  });
});
