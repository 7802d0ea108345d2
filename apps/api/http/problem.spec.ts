import type { ArgumentsHost } from '@nestjs/common';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { PeerRefusal, ProblemException, ProblemFilter } from './problem.js';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly type?: string;
  readonly err?: object;
}

/** What is logged of an error, and answered. */
function caught(error: unknown): { lines: Line[]; status: number; headers: Record<string, string> } {
  const lines: Line[] = [];
  const answer = { lines, status: 0, headers: {} as Record<string, string> };
  const reply = {
    raw: { destroyed: false, headersSent: false },
    header: (name: string, value: string) => Object.assign(answer.headers, { [name]: value }),
    status: (status: number) => {
      answer.status = status;
      return reply;
    },
    type: () => reply,
    send: () => reply,
  };
  const request = { url: '/v1/sandboxes', raw: { complete: true } };
  const host = { switchToHttp: () => ({ getResponse: () => reply, getRequest: () => request }) };
  const log = pino({ level: 'debug' }, { write: (text: string) => void lines.push(JSON.parse(text)) });
  new ProblemFilter(log).catch(error, host as unknown as ArgumentsHost);
  return answer;
}

describe('what is logged of a request that fails', () => {
  it('workers that are full: a warning without a stack, and when to come again', () => {
    const { lines, status, headers } = caught(new ProblemException('unavailable', 'no worker has room', undefined, 5));
    expect(lines).toMatchObject([{ level: 40, msg: 'no worker has room', type: 'urn:cordon:problem:unavailable' }]);
    expect(lines[0].err).toBeUndefined();
    expect([status, headers['retry-after']]).toEqual([503, '5']);
  });

  it('a store that is away, and what nobody foresaw: errors', () => {
    const away = Object.assign(new Error('reached the max retries per request limit'), {
      name: 'MaxRetriesPerRequestError',
    });
    expect(caught(away)).toMatchObject({
      lines: [{ level: 50, err: {} }],
      status: 503,
      headers: { 'retry-after': '5' },
    });
    expect(caught(new Error('oops'))).toMatchObject({ lines: [{ level: 50, err: { message: 'oops' } }], status: 500 });
  });

  it('what other services’ endpoints refuse: nothing, unless they have no answer themselves', () => {
    const refusal = (status: number) =>
      new (class extends PeerRefusal {
        readonly status = status;
      })('no');
    for (const status of [400, 404, 422, 429, 501]) expect(caught(refusal(status)).lines).toEqual([]);
    expect(caught(refusal(503)).lines).toMatchObject([{ level: 40 }]);
    expect(caught(refusal(500)).lines).toMatchObject([{ level: 50 }]);
  });

  it.each(['not-found', 'sandbox-limit', 'queue-full', 'port-unreachable'] as const)('%s: nothing', (type) => {
    expect(caught(new ProblemException(type)).lines).toEqual([]);
  });
});
