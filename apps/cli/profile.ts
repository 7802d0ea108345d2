import type { EndReport, RunMarks, ZygoteMark } from '@cordon/pool/types';

export type ProfileForm = 'table' | 'json';

const MILLISECOND = 1e6;
const ROWS_SHOWN = 20;

/** CLOCK_MONOTONIC, ns, as every process of this host has it. */
export const monotonic = (): number => Number(process.hrtime.bigint());

/** What the CLI itself saw of a run. */
export interface CliMarks {
  /** Its modules are loaded, its options read. */
  readonly begun: number;
  readonly reported: number;
}

interface Phase {
  readonly name: string;
  /** ns */
  readonly time: number;
}

export interface Profile {
  /** From the start of the CLI's Node to its report; in order, without gaps. Times in ns. */
  readonly phases: readonly Phase[];
  readonly total: number;
  readonly usage: EndReport['usage'];
  readonly platform: string;
  /** Null when the run ended before its guest began. */
  readonly guest: EndReport['profile'] | null;
}

/** Steps of several processes in one row of time: each phase ends where the next one begins. */
function phasesOf(
  zygote: readonly ZygoteMark[],
  cli: CliMarks,
  run: Readonly<RunMarks>,
  report: EndReport,
): { phases: Phase[]; total: number } {
  const birth = monotonic() - performance.now() * MILLISECOND;
  const steps: { name: string; at: number }[] = [
    { name: 'cordon: Node', at: birth + performance.nodeTiming.bootstrapComplete * MILLISECOND },
    { name: 'cordon: modules, options', at: cli.begun },
    ...zygote.map(({ step, at }) => ({ name: `zygote: ${step}`, at })),
  ];
  const { marks } = report;
  if (marks) {
    steps.push(
      { name: 'sentry: asked for', at: run.forked },
      { name: 'sentry: fork, namespaces, identity', at: marks.confined },
      { name: 'sentry: platform, filter', at: marks.ready },
      { name: 'sentry: boot message', at: Math.max(marks.booted, run.given) },
      { name: 'sentry: files, kernel', at: marks.built },
    );
    if (marks.loaded !== null) steps.push({ name: 'sentry: exec (ELF, interpreter, stack)', at: marks.loaded });
    steps.push({ name: 'guest', at: marks.ended });
  }
  steps.push({ name: 'report', at: cli.reported });
  let before = birth;
  const phases = steps.map(({ name, at }) => {
    // Two processes begin things in each other's shadow: what was over before its turn took nothing.
    const time = Math.max(0, at - before);
    before = Math.max(before, at);
    return { name, time };
  });
  return { phases, total: before - birth };
}

export function profileOf(
  zygote: readonly ZygoteMark[],
  cli: CliMarks,
  run: Readonly<RunMarks>,
  report: EndReport,
): Profile {
  const { usage, platform, profile = null } = report;
  return { ...phasesOf(zygote, cli, run, report), usage, platform, guest: profile };
}

export function renderProfile(profile: Profile, form: ProfileForm): string {
  if (form === 'json') return `${JSON.stringify(profile)}\n`;
  const lines = ['', `where ${inMs(profile.total)} ms went (platform ${profile.platform}):`];
  for (const { name, time } of profile.phases) lines.push(row(name, '', time, profile.total));
  const { guest } = profile;
  if (guest) lines.push(...guestLines(guest));
  return `${lines.join('\n')}\n`;
}

function guestLines(guest: NonNullable<EndReport['profile']>): string[] {
  const whole = guest.guest + guest.waiting + guest.sentry;
  const lines = [
    '',
    `of these, ${inMs(whole)} ms from the boot message to the end, measured by a clock of ${guest.clock.toFixed(0)} ns a reading:`,
    row('guest code', '', guest.guestCpu, whole),
    row('switches to it and back', '', Math.max(0, guest.guest - guest.guestCpu), whole),
    row('waiting', '', guest.waiting, whole),
    row('the Sentry', '', guest.sentry, whole),
    '',
    `the Sentry's ${inMs(guest.sentry)} ms:`,
    row('start (files, kernel, first program)', '', guest.start, guest.sentry),
    row('page faults', guest.faults.count, guest.faults.time, guest.sentry),
    row('exceptions', guest.exceptions.count, guest.exceptions.time, guest.sentry),
    row('timers, descriptors', guest.wakes.count, guest.wakes.time, guest.sentry),
    ...tallies(guest.calls, guest.sentry),
    '',
    'parts of these:',
    row('programs loaded', guest.loads.count, guest.loads.time, guest.sentry),
    ...tallies(
      guest.hostCalls.map((call) => ({ ...call, name: `host: ${call.name}` })),
      guest.sentry,
    ),
  ];
  return lines;
}

function tallies(
  list: readonly { readonly name: string; readonly count: number; readonly time: number }[],
  whole: number,
): string[] {
  const lines = list.slice(0, ROWS_SHOWN).map(({ name, count, time }) => row(name, count, time, whole));
  const rest = list.slice(ROWS_SHOWN);
  if (rest.length === 0) return lines;
  const sum = (pick: (one: { count: number; time: number }) => number) => rest.reduce((all, one) => all + pick(one), 0);
  const others = row(
    `${rest.length} others`,
    sum(({ count }) => count),
    sum(({ time }) => time),
    whole,
  );
  return [...lines, others];
}

const inMs = (time: number): string => (time / MILLISECOND).toFixed(2);

/** name, count, ms in all, us each, share */
function row(name: string, count: number | '', time: number, whole: number): string {
  const each = typeof count === 'number' && count > 0 ? `${(time / 1000 / count).toFixed(1)} us each` : '';
  const share = whole > 0 ? `${((time / whole) * 100).toFixed(1)} %` : '';
  return `  ${name.padEnd(40)}${String(count).padStart(7)} ${inMs(time).padStart(9)} ms ${share.padStart(7)}  ${each}`.trimEnd();
}
