import { CordonError, type Problem } from './errors.js';

export interface ClientOptions {
  /** Where the server is, e.g. http://127.0.0.1:8080 */
  readonly url: string;
  readonly apiKey: string;
  /** Repeats of a request that got no answer, 429, or 502 to 504. Default 4. */
  readonly retries?: number;
  /** First pause, in milliseconds; it doubles, with jitter, up to 10 s. Default 200. */
  readonly retryMs?: number;
  readonly fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  /** Ends the call, also between two attempts. */
  readonly signal?: AbortSignal | undefined;
}

export interface Call extends CallOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** A body that is no JSON. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined;
  /** Sent once: repeating it could do it twice. */
  readonly once?: boolean;
}

const RETRY_MAX_MS = 10_000;
/** Longest Retry-After that is waited for; a day's quota is not. */
const RETRY_AFTER_MOST_SECONDS = 60;
const RETRIED = new Set([429, 502, 503, 504]);

/** Requests with retries. Requests that create something carry an Idempotency-Key, or are sent once. */
export class Transport {
  private readonly base: string;
  private readonly retries: number;
  private readonly retryMs: number;
  private readonly fetch: typeof globalThis.fetch;

  constructor(private readonly options: ClientOptions) {
    this.base = options.url.replace(/\/+$/, '');
    this.retries = options.retries ?? 4;
    this.retryMs = options.retryMs ?? 200;
    // Browsers insist on their own `this`.
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** The answer as JSON. Throws CordonError for a refusal, and what fetch throws when there was no answer at all. */
  async json<T>(call: Call): Promise<T> {
    return (await (await this.send(call)).json()) as T;
  }

  /** The answer's body, whole. */
  async bytes(call: Call): Promise<Uint8Array> {
    return new Uint8Array(await (await this.send(call)).arrayBuffer());
  }

  /** An answer without a body. */
  async nothing(call: Call): Promise<void> {
    await (await this.send(call)).arrayBuffer();
  }

  /** The answer's body as it comes. */
  async stream(call: Call): Promise<ReadableStream<Uint8Array>> {
    const { body } = await this.send(call);
    if (!body) throw new TypeError('the answer has no body');
    return body;
  }

  /** A pause before attempt number `attempt` (from 1). Rejects when the caller gave up. */
  async pause(attempt: number, retryAfter: number | null, signal?: AbortSignal): Promise<void> {
    const backoff = Math.min(RETRY_MAX_MS, this.retryMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
    const milliseconds = Math.max(backoff, (retryAfter ?? 0) * 1000);
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, milliseconds);
      if (signal?.aborted) stop();
      signal?.addEventListener('abort', stop, { once: true });
    });
  }

  mayRetry(attempt: number, error: unknown, signal?: AbortSignal): boolean {
    if (attempt > this.retries || signal?.aborted) return false;
    // fetch rejects with TypeError when there was no answer.
    if (!(error instanceof CordonError)) return error instanceof TypeError;
    return RETRIED.has(error.status) && (error.retryAfter ?? 0) <= RETRY_AFTER_MOST_SECONDS;
  }

  private async send(call: Call): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.once(call);
      } catch (error) {
        if (call.once || !this.mayRetry(attempt, error, call.signal)) throw error;
        await this.pause(attempt, error instanceof CordonError ? error.retryAfter : null, call.signal);
      }
    }
  }

  private async once({ method, path, query, headers, body, bytes, signal }: Call): Promise<Response> {
    const url = new URL(this.base + path);
    for (const [name, value] of Object.entries(query ?? {})) {
      for (const one of value === undefined ? [] : [value].flat()) url.searchParams.append(name, String(one));
    }
    const response = await this.fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${this.options.apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(bytes === undefined ? {} : { body: bytes }),
      ...(signal ? { signal } : {}),
    });
    if (response.ok) return response;
    throw await refusal(response);
  }
}

async function refusal(response: Response): Promise<CordonError> {
  const text = await response.text();
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  let problem: Problem = { type: 'about:blank', title: `HTTP ${response.status}`, status: response.status };
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'title' in body) problem = body as Problem;
  } catch {
    // Not ours: some proxy's page.
  }
  return new CordonError(response.status, problem, Number.isNaN(seconds) ? null : seconds);
}
