import { createHash } from 'node:crypto';
import type { ExecutionDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { OTHER_KEY, type SseEvent, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const sh = (script: string, more: object = {}): object => ({ command: ['/bin/sh', '-c', script], ...more });

async function started(body: object): Promise<string> {
  const { id } = (await cordon.post(body)).body as ExecutionDto;
  await cordon.events(id, undefined, (event) => event.type === 'stdout');
  return id;
}

describe('a result in one call', () => {
  it('has all that is known of the run', async () => {
    const result = await cordon.run(sh('cat; echo oops >&2; exit 3', { stdin: 'hi\n', labels: { team: 'a' } }));
    expect(result).toMatchObject({
      state: 'failed',
      exitCode: 3,
      signal: null,
      stdout: 'hi\n',
      stderr: 'oops\n',
      stdoutTruncated: false,
      stderrTruncated: false,
      labels: { team: 'a' },
    });
    expect(result.usage?.syscalls).toBeGreaterThan(10);
    expect(result.usage?.memoryPeakBytes).toBeGreaterThan(0);
    expect(result.audit).toMatchObject({ level: 'security', truncated: false });
    const times = [result.createdAt, result.startedAt, result.finishedAt].map((at) => Date.parse(at ?? ''));
    expect(times).toEqual([...times].sort());
  });

  it.each([
    ['python', 'print(input()[::-1])'],
    ['bash', 'read line; echo "$line" | rev'],
    ['perl', 'print scalar reverse(split(/\\n/, <STDIN>)), "\\n"'],
    [
      'c',
      '#include <stdio.h>\n#include <string.h>\nint main(void){char s[9];scanf("%8s",s);for(int i=strlen(s);i--;)putchar(s[i]);puts("");}',
    ],
  ])('%s', async (runtime, source) => {
    const result = await cordon.run({
      runtime,
      source,
      stdin: 'abc\n',
      limits: { wallTimeMs: 50_000, cpuTimeMs: 50_000 },
    });
    expect(result).toMatchObject({ state: 'succeeded', stdout: 'cba\n', stderr: '' });
  });

  it('files, environment and working directory arrive', async () => {
    const result = await cordon.run(
      sh('cat "$NAME" ../b.bin; pwd', {
        files: [
          { path: 'dir/ä b.txt', content: 'grüß\n' },
          { path: 'b.bin', content: 'YWJjCg==', encoding: 'base64' },
        ],
        env: { NAME: 'ä b.txt' },
        cwd: 'dir',
      }),
    );
    expect(result).toMatchObject({ state: 'succeeded', stdout: 'grüß\nabc\n/work/dir\n' });
  });

  it('binary output survives', async () => {
    const result = await cordon.run(sh("printf '\\000\\377\\376data\\n'; printf 'text\\000' >&2"));
    expect(result.stdoutEncoding).toBe('base64');
    expect(Buffer.from(result.stdout, 'base64')).toEqual(Buffer.from([0, 255, 254, 100, 97, 116, 97, 10]));
    expect(result).toMatchObject({ stderrEncoding: 'utf8', stderr: 'text\0' });
  });

  it('a program that is not there ends as the shell would have it', async () => {
    const result = await cordon.run({ command: ['/no/such/program'] });
    expect(result).toMatchObject({ state: 'failed', exitCode: 127 });
  });

  it.each([
    ['timed_out', 'sleep 100', { wallTimeMs: 300 }],
    ['cpu_exceeded', 'while :; do :; done', { cpuTimeMs: 300 }],
    ['output_exceeded', 'yes', { outputBytes: 10_000 }],
  ])('%s', async (state, script, limits) => {
    const result = await cordon.run(sh(script, { limits }));
    expect(result.state).toBe(state);
    expect(Buffer.byteLength(result.stdout)).toBeLessThanOrEqual(10_000);
    expect(result.stdoutTruncated).toBe(state === 'output_exceeded');
  });

  it('without ?wait: 202 at once, and the result later', async () => {
    const response = await cordon.post(sh('sleep 0.3; echo later'));
    expect(response.status).toBe(202);
    expect(response.body.state).toMatch(/queued|running/);
    expect(response.headers.location).toBe(`/v1/executions/${response.body.id}`);
    const result = await cordon.get(`${response.headers.location}?wait=20`);
    expect(result.body).toMatchObject({ state: 'succeeded', stdout: 'later\n' });
  });

  it('a wait shorter than the run: 202', async () => {
    const response = await cordon.post(sh('sleep 1'), '?wait=0.1');
    expect(response.status).toBe(202);
    expect((await cordon.get(`/v1/executions/${response.body.id}?wait=20`)).body.state).toBe('succeeded');
  });
});

describe('a bomb ends itself and nothing else', () => {
  it.each([
    [
      'memory',
      /^memory_exceeded$/,
      'python3 -c "x = bytearray(1 << 30); x[::4096] = b\'x\' * (1 << 18)"',
      { memoryBytes: 64 << 20 },
    ],
    ['output', /^output_exceeded$/, 'yes', { outputBytes: 16 << 20 }],
    ['one endless line', /^output_exceeded$/, 'tr "\\0" x </dev/zero', { outputBytes: 16 << 20 }],
    ['fork', /^(timed_out|failed)$/, ':(){ :|:& };:; sleep 60', { processes: 20, wallTimeMs: 2_000 }],
  ])(
    '%s',
    async (_name, state, script, limits) => {
      const bomb = cordon.post({ command: ['/bin/bash', '-c', script], limits, audit: { level: 'full' } }, '?wait=60');
      const answered = bomb.then(({ body }) => body as ExecutionDto);
      for (let index = 0; index < 5; index++) {
        expect((await cordon.get('/healthz')).status).toBe(200);
        expect(await cordon.run(sh('echo unmoved'))).toMatchObject({ state: 'succeeded', stdout: 'unmoved\n' });
      }
      const result = await answered;
      expect(result.state).toMatch(state);
      expect(result.stdoutTruncated).toBe(result.state === 'output_exceeded');
    },
    90_000,
  );
});

describe('events', () => {
  it('are live: a line a second is seen a line a second', async () => {
    const { id } = (await cordon.post(sh('for i in 1 2 3; do echo $i; sleep 1; done'))).body as ExecutionDto;
    const events = await cordon.events(id);
    const lines = events.filter(({ type }) => type === 'stdout');
    expect(lines.map(({ data }) => data.data)).toEqual(['1\n', '2\n', '3\n']);
    expect(lines[2].at - lines[0].at).toBeGreaterThan(1_500);
    expect(events.at(-1)).toMatchObject({ type: 'result', data: { id, state: 'succeeded', stdout: '1\n2\n3\n' } });
  });

  it('reach 100 clients, each event once and in order', async () => {
    const command = ['/bin/sh', '-c', 'for i in $(seq 40); do echo $i; sleep 0.01; done'];
    const { id } = (await cordon.post({ command, audit: { level: 'full' } })).body as ExecutionDto;
    const streams = await Promise.all(Array.from({ length: 100 }, () => cordon.events(id)));
    const shape = (events: readonly SseEvent[]): string =>
      JSON.stringify(events.map(({ id: at, type, data }) => [at, type, data]));
    const whole = shape(streams[0]);
    expect(new Set(streams[0].map(({ id: at }) => at)).size).toBe(streams[0].length);
    const text = streams[0].flatMap(({ type, data }) => (type === 'stdout' ? [data.data] : [])).join('');
    expect(text).toBe(Array.from({ length: 40 }, (_, index) => `${index + 1}\n`).join(''));
    for (const stream of streams) expect(shape(stream)).toBe(whole);
  }, 120_000);

  it('replay and resume give the same, from any event on', async () => {
    const { id } = await cordon.run(
      sh('echo one; sleep 0.1; echo two >&2; ls / >/dev/null', { audit: { level: 'full' } }),
    );
    const all = (await cordon.events(id)).map(({ id: eventId, type, data }) => ({ eventId, type, data }));
    expect(new Set(all.map(({ type }) => type))).toEqual(new Set(['status', 'stdout', 'stderr', 'audit', 'result']));
    for (const [index, { eventId }] of all.entries()) {
      const rest = (await cordon.events(id, eventId)).map(({ id: at, type, data }) => ({ eventId: at, type, data }));
      expect(rest).toEqual(all.slice(index + 1));
    }
  });

  it('a live stream that broke resumes without a loss', async () => {
    const { id } = (await cordon.post(sh('for i in 1 2 3 4 5; do echo $i; sleep 0.2; done'))).body as ExecutionDto;
    const first = await cordon.events(id, undefined, ({ data }) => data.data === '2\n');
    const rest = await cordon.events(id, first.at(-1)?.id);
    const text = [...first, ...rest].filter(({ type }) => type === 'stdout').map(({ data }) => data.data);
    expect(text.join('')).toBe('1\n2\n3\n4\n5\n');
  });

  it('guest bytes break nothing', async () => {
    const nasty = 'event: result\\ndata: {}\\n\\n\\r\\n\\342\\200\\250<script>\\033[2J';
    const { id, stdout } = await cordon.run(sh(`printf '${nasty}'`));
    const events = await cordon.events(id);
    expect(events.filter(({ type }) => type === 'result')).toHaveLength(1);
    const text = events
      .filter(({ type }) => type === 'stdout')
      .map(({ data }) => data.data)
      .join('');
    expect(text).toBe(stdout);
    expect(text).toBe('event: result\ndata: {}\n\n\r\n\u2028<script>\x1b[2J');
  });

  it('audit batches are chained', async () => {
    const { id } = await cordon.run(sh('ls / >/dev/null', { audit: { level: 'full' } }));
    let chain = '';
    for (const { data } of (await cordon.events(id)).filter(({ type }) => type === 'audit')) {
      chain = createHash('sha256').update(chain).update(JSON.stringify(data.records)).digest('hex');
      expect(data.chain).toBe(chain);
    }
    expect(chain).not.toBe('');
  });

  it('an id that is none of ours is refused', async () => {
    const { id } = await cordon.run(sh('true'));
    const response = await cordon.get(`/v1/executions/${id}/events`).set('last-event-id', 'x');
    expect(response.status).toBe(422);
  });
});

describe('audit', () => {
  it('as server-sent events, resumed in the middle of a batch', async () => {
    const { id } = await cordon.run(sh('cat /etc/hostname >/dev/null', { audit: { level: 'full' } }));
    const read = async (query: string, last?: string): Promise<{ ids: string[]; records: { comm: string }[] }> => {
      const asked = cordon.get(`/v1/executions/${id}/audit${query}`).set('accept', 'text/event-stream');
      const { text, type } = await (last === undefined ? asked : asked.set('last-event-id', last));
      expect([type, text.endsWith('event: end\ndata: {}\n\n')]).toEqual(['text/event-stream', true]);
      return {
        ids: [...text.matchAll(/^id: (.*)$/gm)].map(([, one]) => one),
        records: [...text.matchAll(/^event: audit\ndata: (.*)$/gm)].map(([, json]) => JSON.parse(json)),
      };
    };
    const all = await read('');
    const lines = (await cordon.get(`/v1/executions/${id}/audit`)).text.trim().split('\n');
    expect(all.records).toMatchObject(lines.map((line) => JSON.parse(line)));
    expect(new Set(all.ids).size).toBe(lines.length);
    for (const from of [0, 3, lines.length - 1])
      expect((await read('', all.ids[from])).ids).toEqual(all.ids.slice(from + 1));
    const cats = all.records.filter(({ comm }) => comm === 'cat');
    expect((await read('?comm=cat')).records).toEqual(cats);
    expect(cats.length).toBeGreaterThan(0);
    for (const last of ['x', '1-1', '1-1.x']) {
      const refused = await cordon.get(`/v1/executions/${id}/audit?format=sse`).set('last-event-id', last);
      expect(refused.status).toBe(422);
    }
  });

  it('a parameter given twice does no harm', async () => {
    const { id } = await cordon.run(sh('true', { audit: { level: 'full' } }));
    const response = await cordon.get(`/v1/executions/${id}/audit?syscall=openat&syscall=exit_group`);
    expect(response.status).toBe(200);
    expect(response.text.trim().split('\n').length).toBeGreaterThanOrEqual(2);
  });

  it('as NDJSON and as strace shows it, filtered', async () => {
    const { id, audit } = await cordon.run(
      sh('cat /etc/hostname >/dev/null; true | true', { audit: { level: 'full' } }),
    );
    const ndjson = (await cordon.get(`/v1/executions/${id}/audit`)).text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(ndjson).toHaveLength(audit.records);
    expect(ndjson.map(({ sequence }) => sequence)).toEqual(ndjson.map((_, index) => ndjson[0].sequence + index));
    const opens = (await cordon.get(`/v1/executions/${id}/audit?syscall=openat,open`)).text.trim().split('\n');
    expect(opens).toHaveLength(ndjson.filter(({ name }) => name === 'openat' || name === 'open').length);
    const pids = [...new Set(ndjson.map(({ pid }) => pid))];
    expect(pids.length).toBeGreaterThan(1);
    const ofOne = (await cordon.get(`/v1/executions/${id}/audit?pid=${pids[1]}`)).text.trim().split('\n');
    expect(ofOne).toHaveLength(ndjson.filter(({ pid }) => pid === pids[1]).length);
    const comms = new Set(
      (await cordon.get(`/v1/executions/${id}/audit?comm=cat&comm=sh`)).text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).comm),
    );
    expect(comms).toEqual(new Set(['cat', 'sh']));
    expect((await cordon.get(`/v1/executions/${id}/audit?comm=cat&pid=999`)).text).toBe('');
    const many = Array.from({ length: 101 }, (_, index) => `comm=${index}`).join('&');
    for (const [query, pointer] of [
      [many, '?comm'],
      ['pid=1&pid=2', '?pid'],
      ['format=sse&format=strace', '?format'],
    ]) {
      const { status, body } = await cordon.get(`/v1/executions/${id}/audit?${query}`);
      expect([status, body.errors.map((error: { pointer: string }) => error.pointer)]).toEqual([422, [pointer]]);
    }
    const strace = (await cordon.get(`/v1/executions/${id}/audit`).set('accept', 'text/plain')).text;
    expect(strace).toBe((await cordon.get(`/v1/executions/${id}/audit?format=strace`)).text);
    expect(strace).toMatch(/openat\(AT_FDCWD, "\/etc\/hostname", O_RDONLY/);
  });
});

describe('cancel', () => {
  it('a running one ends at once', async () => {
    const id = await started(sh('echo on; sleep 100'));
    const response = await cordon.delete(`/v1/executions/${id}`);
    expect(response.body).toMatchObject({ id, state: 'canceled', stdout: 'on\n' });
    expect((await cordon.events(id)).filter(({ type }) => type === 'result')).toHaveLength(1);
  });

  it('a queued one never runs', async () => {
    const busy = [await started(sh('echo on; sleep 100')), await started(sh('echo on; sleep 100'))];
    const { id } = (await cordon.post(sh('echo never'))).body as ExecutionDto;
    expect((await cordon.delete(`/v1/executions/${id}`)).body).toMatchObject({ state: 'canceled', startedAt: null });
    for (const one of busy) await cordon.delete(`/v1/executions/${one}`);
    const states = (await cordon.events(id)).filter(({ type }) => type === 'status').map(({ data }) => data.state);
    expect(states).toEqual(['queued', 'canceled']);
  });

  it('at every moment of a start: one result, and it is canceled or what the program made', async () => {
    for (let delay = 0; delay < 12; delay++) {
      const { id } = (await cordon.post(sh('sleep 0.05'))).body as ExecutionDto;
      await new Promise((resolve) => setTimeout(resolve, delay * 2));
      expect((await cordon.delete(`/v1/executions/${id}`)).body.state).toMatch(/canceled|succeeded/);
      expect((await cordon.events(id)).filter(({ type }) => type === 'result')).toHaveLength(1);
    }
  });

  it('one that is over stays as it is', async () => {
    const { id } = await cordon.run(sh('true'));
    expect((await cordon.delete(`/v1/executions/${id}`)).body.state).toBe('succeeded');
  });
});

describe('Idempotency-Key', () => {
  it('runs once, however often and however fast it is sent', async () => {
    const send = () => cordon.post(sh('echo once'), '?wait=20').set('idempotency-key', 'k-1');
    const answers = await Promise.all(Array.from({ length: 8 }, send));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    for (const { body } of answers) expect(body).toMatchObject({ state: 'succeeded', stdout: 'once\n' });
  });

  it('used for another request is a conflict; for another key’s owner it is free', async () => {
    const first = await cordon.post(sh('echo a'), '?wait=20').set('idempotency-key', 'k-2');
    const other = await cordon.post(sh('echo b'), '?wait=20').set('idempotency-key', 'k-2');
    expect(other.body).toMatchObject({ status: 409, type: 'urn:cordon:problem:conflict' });
    const theirs = await cordon.post(sh('echo a'), '?wait=20', OTHER_KEY).set('idempotency-key', 'k-2');
    expect(theirs.status).toBe(200);
    expect(theirs.body.id).not.toBe(first.body.id);
  });

  it('is not used up by a request that was refused', async () => {
    expect((await cordon.post({ command: [] }).set('idempotency-key', 'k-3')).status).toBe(422);
    expect((await cordon.post(sh('true'), '?wait=20').set('idempotency-key', 'k-3')).status).toBe(200);
  });
});

describe('tenants', () => {
  it('one sees nothing of the other', async () => {
    const id = await started(sh('echo mine; sleep 100', { labels: { whose: 'mine' } }));
    for (const path of [`/v1/executions/${id}`, `/v1/executions/${id}/events`, `/v1/executions/${id}/audit`]) {
      expect((await cordon.get(path, OTHER_KEY)).status).toBe(404);
    }
    expect((await cordon.delete(`/v1/executions/${id}`, OTHER_KEY)).status).toBe(404);
    expect((await cordon.get(`/v1/executions/${id}`)).body.state).toBe('running');
    expect((await cordon.get('/v1/executions?label=whose=mine', OTHER_KEY)).body.items).toEqual([]);
    await cordon.delete(`/v1/executions/${id}`);
  });

  it('a list goes through all, newest first, page by page and filtered', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) {
      const labels = { page: index % 2 === 0 ? 'even' : 'odd' };
      ids.unshift((await cordon.post(sh(`exit ${index % 2}`, { labels }), '?wait=20', OTHER_KEY)).body.id);
    }
    const listed: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`;
      const { body } = await cordon.get(`/v1/executions?limit=2&label=page=even${query}`, OTHER_KEY);
      listed.push(...body.items.map((item: ExecutionDto) => item.id));
      cursor = body.nextCursor;
    } while (cursor !== null);
    expect(listed).toEqual(ids.filter((_, index) => index % 2 === 0));
    const failed = (await cordon.get('/v1/executions?state=failed&label=page=odd', OTHER_KEY)).body.items;
    expect(failed.map((item: ExecutionDto) => item.id)).toEqual([ids[1], ids[3]]);
  });
});

describe('long output', () => {
  it('ends a page of the list early; the cursor leads on', async () => {
    const labels = { size: 'long' };
    const flood = { command: ['/usr/bin/yes'], labels, limits: { outputBytes: 6 << 20 } };
    for (let index = 0; index < 3; index++) expect((await cordon.run(flood)).state).toBe('output_exceeded');
    const first = (await cordon.get('/v1/executions?label=size=long')).body;
    expect(first.items).toHaveLength(2);
    const second = (await cordon.get(`/v1/executions?label=size=long&cursor=${first.nextCursor}`)).body;
    expect(second.items).toHaveLength(1);
    expect(second.nextCursor).toBeNull();
  });
});

describe('around', () => {
  it('runtimes are what the worker found', async () => {
    const { body } = await cordon.get('/v1/runtimes');
    const python = body.find(({ id }: { id: string }) => id === 'python');
    const { stdout } = await cordon.run({ runtime: 'python', source: 'import sys; print(sys.version.split()[0])' });
    expect(python.version).toContain(stdout.trim());
  });

  it('health, readiness, metrics and the documentation are open', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics', '/docs']) {
      expect((await cordon.get(path, 'no key')).status, path).toBe(200);
    }
    expect((await cordon.get('/metrics')).text).toMatch(/^cordon_workers 1$/m);
  });

  it('OpenAPI names every path, and the fields with their limits', async () => {
    const { body } = await cordon.get('/docs-json');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/v1/executions',
        '/v1/executions/{id}/events',
        '/v1/executions/{id}/audit',
        '/v1/runtimes',
      ]),
    );
    expect(body.components.schemas.LimitsDto.properties.wallTimeMs).toMatchObject({
      default: 10_000,
      maximum: 300_000,
    });
  });
});

it('takes any name for a variable and a label, those that every object has, too', async () => {
  const names = { toString: 'a', constructor: 'b', valueOf: 'c' };
  const { stdout, labels } = await cordon.run({ command: ['/usr/bin/env'], env: names, labels: names });
  expect(
    stdout
      .split('\n')
      .filter((line) => /^(toString|constructor|valueOf)=/.test(line))
      .sort(),
  ).toEqual(['constructor=b', 'toString=a', 'valueOf=c']);
  expect(labels).toEqual(names);
});
