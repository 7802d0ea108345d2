import { type CreateOptions, Records } from './records.js';
import type { components } from './schema.js';
import type { CallOptions, Transport } from './transport.js';

type Schemas = components['schemas'];
export type CreateSubmission = Schemas['CreateSubmissionDto'];
export type Submission = Schemas['SubmissionDto'];

/** An event of a submission; `id` resumes the stream behind it. */
export interface SubmissionEvent {
  readonly id: string;
  /** `test`: one has ended; `result`: the submission, judged. */
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface ListSubmissions extends CallOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly problem?: string;
  readonly pageSize?: number;
}

/** Programs to judge. */
export class Submissions extends Records<CreateSubmission, Submission> {
  constructor(transport: Transport) {
    super(transport, '/v1/submissions');
  }

  /** Has one judged, however long that takes. */
  judge(body: CreateSubmission, options: Omit<CreateOptions, 'wait'> = {}): Promise<Submission> {
    return this.toEnd(body, options);
  }

  /** All that match, newest first, page by page as they are asked for. */
  list({ labels, problem, pageSize, signal }: ListSubmissions = {}): AsyncGenerator<Submission, void, undefined> {
    return this.pages({ problem, limit: pageSize }, labels, signal);
  }

  /** Its events from the first (or behind `after`) to its result, live: every event once, in order. */
  async *events(
    id: string,
    options: CallOptions & { after?: string } = {},
  ): AsyncGenerator<SubmissionEvent, void, undefined> {
    for await (const { id: eventId, event, data } of this.follow(id, options))
      yield { id: eventId, type: event, data: JSON.parse(data) };
  }
}
