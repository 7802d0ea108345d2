import { type CreateOptions, isOver, WAIT_SECONDS } from './executions.js';
import { followRecord } from './follow-record.js';
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
export class Submissions {
  constructor(private readonly transport: Transport) {}

  /** Accepts one; resolves at once, or when it was judged within `wait` seconds. */
  create(body: CreateSubmission, { idempotencyKey, wait, signal }: CreateOptions = {}): Promise<Submission> {
    return this.transport.json({
      method: 'POST',
      path: '/v1/submissions',
      query: { wait },
      headers: { 'idempotency-key': idempotencyKey ?? crypto.randomUUID() },
      body,
      signal,
    });
  }

  /** Has one judged, however long that takes. */
  async judge(body: CreateSubmission, options: Omit<CreateOptions, 'wait'> = {}): Promise<Submission> {
    const submission = await this.create(body, { ...options, wait: WAIT_SECONDS });
    return isOver(submission.state) ? submission : this.wait(submission.id, options);
  }

  get(id: string, { signal }: CallOptions = {}): Promise<Submission> {
    return this.transport.json({ method: 'GET', path: place(id), signal });
  }

  async wait(id: string, { signal }: CallOptions = {}): Promise<Submission> {
    for (;;) {
      const query = { wait: WAIT_SECONDS };
      const submission = await this.transport.json<Submission>({ method: 'GET', path: place(id), query, signal });
      if (isOver(submission.state)) return submission;
    }
  }

  cancel(id: string, { signal }: CallOptions = {}): Promise<Submission> {
    return this.transport.json({ method: 'DELETE', path: place(id), signal });
  }

  /** All that match, newest first, page by page as they are asked for. */
  async *list({
    labels,
    problem,
    pageSize,
    signal,
  }: ListSubmissions = {}): AsyncGenerator<Submission, void, undefined> {
    const label = Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`);
    let cursor: string | undefined;
    do {
      const query = { label, problem, limit: pageSize, cursor };
      const page: Schemas['SubmissionListDto'] = await this.transport.json({
        method: 'GET',
        path: '/v1/submissions',
        query,
        signal,
      });
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Its events from the first (or behind `after`) to its result, live: every event once, in order. */
  async *events(
    id: string,
    { after, signal }: CallOptions & { after?: string } = {},
  ): AsyncGenerator<SubmissionEvent, void, undefined> {
    const over = async (): Promise<boolean> => isOver((await this.get(id, { signal })).state);
    for await (const { id: eventId, event, data } of followRecord(this.transport, place(id), { after, signal }, over))
      yield { id: eventId, type: event, data: JSON.parse(data) };
  }
}

const place = (id: string): string => `/v1/submissions/${encodeURIComponent(id)}`;
