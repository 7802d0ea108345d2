import type { HeapUse, SentryMarks, SentryProfile, Tally } from '@cordon/sentry/boot/boot-message';

/** More rows than Linux has calls, or the addon functions. */
const ROWS_MOST = 1024;
const NAME_MOST = 64;

/** A number that a Sentry told: it may be compromised. */
export function finite(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

export function checkedMarks(value: unknown): SentryMarks {
  const marks = fieldsOf(value);
  return {
    confined: finite(marks.confined),
    ready: finite(marks.ready),
    booted: finite(marks.booted),
    built: finite(marks.built),
    loaded: marks.loaded === null ? null : finite(marks.loaded),
    firstOutput: marks.firstOutput === null ? null : finite(marks.firstOutput),
    ended: finite(marks.ended),
  };
}

function tally(value: unknown): Tally {
  const { count, time } = fieldsOf(value);
  return { count: finite(count), time: finite(time) };
}

const nameOf = (value: unknown): string => (typeof value === 'string' ? value.slice(0, NAME_MOST) : 'unknown');

function rows(value: unknown): (Tally & { name: string })[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, ROWS_MOST).map((row: unknown) => {
    const { name } = fieldsOf(row);
    return { name: nameOf(name), ...tally(row) };
  });
}

export function checkedHeap(value: unknown): HeapUse[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, ROWS_MOST).map((row: unknown) => {
    const { name, windows, bytes } = fieldsOf(row);
    return { name: nameOf(name), windows: finite(windows), bytes: finite(bytes) };
  });
}

export function checkedProfile(value: unknown): SentryProfile {
  const profile = fieldsOf(value);
  return {
    clock: finite(profile.clock),
    guest: finite(profile.guest),
    guestCpu: finite(profile.guestCpu),
    waiting: finite(profile.waiting),
    sentry: finite(profile.sentry),
    start: finite(profile.start),
    faults: tally(profile.faults),
    exceptions: tally(profile.exceptions),
    wakes: tally(profile.wakes),
    calls: rows(profile.calls),
    loads: tally(profile.loads),
    hostCalls: rows(profile.hostCalls),
  };
}
