/**
 * The host system calls of a Sentry, all of them. A short list is the point: whoever adds a row says who needs it.
 * The tests read the live filter and compare it with this list.
 */
import type { SyscallRule } from './seccomp-program.js';

export interface FilterContext {
  /** Descriptors of Node that are /dev/null in a child: V8 still writes to libuv's eventfd. */
  readonly nullDescriptors: readonly number[];
}

export function sentryRules({ nullDescriptors }: FilterContext): SyscallRule[] {
  return [
    {
      name: 'write',
      arguments: [{ index: 0, oneOf: [2, 3, ...nullDescriptors] }],
      why: 'channel, last words, V8 waking a loop that is not there',
    },
    { name: 'read', why: 'channel' },
    { name: 'mmap', why: 'V8 heap and code' },
    { name: 'munmap', why: 'V8 heap' },
    { name: 'mprotect', why: 'V8 code pages' },
    { name: 'madvise', why: 'V8 heap' },
    { name: 'brk', why: 'malloc' },
    { name: 'futex', why: 'uncontended locks of V8 that turn out contended' },
    { name: 'clock_gettime', why: 'where the vdso falls back' },
    { name: 'getpid', why: 'abort, OpenSSL fork detection' },
    { name: 'rt_sigreturn', why: 'return from a handler' },
    { name: 'exit_group', why: 'the end' },
  ];
}
