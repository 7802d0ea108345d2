import type { TimelineDto, TimelineStart } from '@cordon/contracts';
import type { EndReport, RunMarks } from '@cordon/pool';
import { CLOCK_ID, monotonic } from '@cordon/queue';

const MICROSECOND = 1000;
const MILLISECOND = 1e6;

/** The worker's part of an execution's timeline; `answered` is the API's. Of several runs, the last one's. */
export class Timeline {
  private readonly taken: number;
  private readonly clocks: TimelineDto['clocks'];
  /** What is taken from a reading of this host's clock: `accepted` there. */
  private readonly base: number;
  private ended: { marks: Readonly<RunMarks>; report: EndReport } | null = null;

  /** `taken`: CLOCK_MONOTONIC, ns, now or a moment ago. */
  constructor(
    private readonly start: TimelineStart,
    taken: number,
  ) {
    this.taken = taken;
    this.clocks = start.clock === CLOCK_ID ? 'one' : 'two';
    const elsewhere = Math.max((Date.now() - start.wall) * MILLISECOND, start.queued - start.accepted);
    this.base = this.clocks === 'one' ? start.accepted : taken - elsewhere;
  }

  ran(marks: Readonly<RunMarks>, report: EndReport): void {
    this.ended = { marks, report };
  }

  private offset(at: number): number {
    return Math.round((at - this.base) / MICROSECOND);
  }

  /** What happened, if it did. */
  private maybe(at: number | null | undefined): number | null {
    return at ? this.offset(at) : null;
  }

  /** Precondition: the result is about to be stored. */
  finish(): TimelineDto {
    const { start } = this;
    const marks = this.ended?.marks;
    const sentry = this.ended?.report.marks;
    const given = marks?.given;
    return {
      clocks: this.clocks,
      sentry: marks?.given ? (marks.forked < marks.asked ? 'spare' : 'forked') : null,
      accepted: 0,
      queued: Math.round((start.queued - start.accepted) / MICROSECOND),
      taken: this.offset(this.taken),
      given: this.maybe(given),
      platformReady: sentry && given ? this.offset(Math.max(sentry.ready, given)) : null,
      booted: this.maybe(sentry?.booted),
      execDone: this.maybe(sentry?.loaded),
      firstOutput: this.maybe(sentry?.firstOutput),
      guestExit: this.maybe(sentry?.ended),
      reported: this.maybe(marks?.ended),
      stored: this.offset(monotonic()),
      answered: null,
    };
  }
}
