import type { components } from './schema.js';

export type Problem = components['schemas']['Problem'];

/** The server refused: an RFC 9457 problem. `type` is stable, `errors` points at each wrong field. */
export class CordonError extends Error {
  override readonly name = 'CordonError';

  constructor(
    readonly status: number,
    readonly problem: Problem,
    /** Seconds the server asks to wait; null when it did not say. */
    readonly retryAfter: number | null,
  ) {
    const fields = problem.errors?.map(({ pointer, detail }) => `${pointer}: ${detail}`).join('; ');
    super([problem.title, problem.detail, fields].filter(Boolean).join(': '));
  }

  get type(): string {
    return this.problem.type;
  }
}
