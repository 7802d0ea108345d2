import { ApiProperty } from '@nestjs/swagger';

const offset = (description: string, nullable = false): PropertyDecorator =>
  ApiProperty({ type: 'integer', description, ...(nullable ? { nullable: true } : {}) });

/**
 * When what happened to an execution: whole microseconds since `accepted`, in this order. The clock is CLOCK_MONOTONIC, which all
 * processes of one host share.
 */
export class TimelineDto {
  @ApiProperty({
    enum: ['one', 'two'],
    description:
      'one: API and worker share a host and its clock. two: they do not; `taken` is then the difference of two hosts’ times of day (not before `queued`), what follows is exact to it',
  })
  clocks!: 'one' | 'two';

  @ApiProperty({
    enum: ['spare', 'forked'],
    nullable: true,
    description: 'spare: its Sentry was there before the execution was. Null: it never got one',
  })
  sentry!: 'spare' | 'forked' | null;

  @offset('The API begins with the request: 0') accepted!: number;
  @offset('It is valid, and goes to the queue') queued!: number;
  @offset('A worker has it') taken!: number;
  @offset('It has a Sentry', true) given!: number | null;
  @offset('The Sentry’s platform runs and it is closed in; of a spare: when it was given', true)
  platformReady!: number | null;
  @offset('The Sentry has its files and limits', true) booted!: number | null;
  @offset('The program is mapped, its first instruction is next; null when it could not be', true)
  execDone!: number | null;
  @offset('Its first byte of output; null when there was none', true) firstOutput!: number | null;
  @offset('The guest has ended', true) guestExit!: number | null;
  @offset('The worker knows', true) reported!: number | null;
  @offset('The result goes to the store, its last events with it') stored!: number;
  @offset('The answer to the POST that waited for the end; null in other answers', true) answered!: number | null;
}

/** What the API knows of a timeline. */
export interface TimelineStart {
  /** Names the clock: two processes with the same one may compare their times. */
  readonly clock: string;
  /** CLOCK_MONOTONIC, ns. */
  readonly accepted: number;
  readonly queued: number;
  /** Time of day at `accepted`, ms. */
  readonly wall: number;
}
