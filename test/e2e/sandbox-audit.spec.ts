import { type AuditEntry, SANDBOX_AUDIT_BYTES, type SandboxDto } from '@cordon/contracts';
import { connect, keys } from '@cordon/queue';
import { describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

async function create(body: object = {}): Promise<string> {
  const response = await cordon.postTo('/v1/sandboxes', body);
  expect(response.status, response.text).toBe(201);
  return (response.body as SandboxDto).id;
}

async function sh(id: string, script: string): Promise<{ stdout: string; pid: number }> {
  const response = await cordon.postTo(`/v1/sandboxes/${id}/exec`, { command: ['/bin/sh', '-c', script] });
  expect(response.status, response.text).toBe(200);
  return response.body;
}

function open(id: string, query = '', headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${cordon.port}/v1/sandboxes/${id}/audit${query}`, {
    headers: { authorization: `Bearer ${KEY}`, ...headers },
  });
}

async function records(id: string, query = ''): Promise<AuditEntry[]> {
  const response = await open(id, query);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditEntry);
}

/** Reads on until it holds `wanted`; null: until its end. */
async function readUntil(response: Response, wanted: string | null): Promise<string> {
  const decoder = new TextDecoder();
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
    if (wanted !== null && text.includes(wanted)) {
      await reader.cancel();
      return text;
    }
  }
}

describe('the system calls of a sandbox', () => {
  it('are told at once, by name and by process, as records and as strace', async () => {
    const id = await create();
    const first = await sh(id, 'echo x > first');
    const second = await sh(id, 'echo x > second');
    const opened = await records(id, '?syscall=openat');
    expect(new Set(opened.map(({ name }) => name))).toEqual(new Set(['openat']));
    expect(JSON.stringify(opened)).toMatch(/first.*second/);
    const theirs = await records(id, `?pid=${second.pid}`);
    expect(new Set(theirs.map(({ pid }) => pid))).toEqual(new Set([second.pid]));
    expect(JSON.stringify(theirs)).not.toContain('"first"');
    const strace = await open(id, `?format=strace&syscall=openat&pid=${first.pid}`);
    expect(strace.headers.get('content-type')).toContain('text/plain');
    expect(await strace.text()).toMatch(
      new RegExp(`^\\[pid ${first.pid}\\] openat\\(AT_FDCWD, "first", .*= \\d+$`, 'm'),
    );
    const all = await records(id);
    expect(all.map(({ sequence }) => sequence)).toEqual(all.map((_, index) => index));
  });

  it('are told by the name of the process, live too', async () => {
    const id = await create({ audit: { level: 'full' } });
    const live = await open(id, '?comm=cat&comm=true', { accept: 'text/event-stream' });
    await sh(id, 'cat /etc/hostname >/dev/null; head -c 1 /etc/hostname >/dev/null; /bin/true');
    const theirs = await records(id, '?comm=cat&syscall=openat');
    expect(theirs.length).toBeGreaterThan(0);
    expect(new Set(theirs.map(({ comm, name }) => `${comm} ${name}`))).toEqual(new Set(['cat openat']));
    const [{ pid }] = theirs;
    expect(await records(id, `?comm=cat&pid=${pid}&syscall=openat`)).toEqual(theirs);
    expect(await records(id, `?comm=head&pid=${pid}`)).toEqual([]);
    await cordon.delete(`/v1/sandboxes/${id}`);
    const seen = [...(await readUntil(live, null)).matchAll(/^data: (\{"sequence.*)$/gm)].map(([, json]) =>
      JSON.parse(json),
    );
    expect(new Set(seen.map(({ comm }) => comm))).toEqual(new Set(['cat', 'true']));
  });

  it('are followed live until it ends, and resumed', async () => {
    const id = await create();
    await sh(id, 'echo x > before');
    const live = await open(id, '?syscall=openat', { accept: 'text/event-stream' });
    const plain = await open(id, '?format=strace&follow=true');
    const seen = readUntil(live, '"\\"after');
    await sh(id, 'echo x > after');
    const text = await seen;
    expect(text).toMatch(/before[\s\S]*after/);
    const last = [...text.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] as string;
    const resumed = await open(id, '', { accept: 'text/event-stream', 'last-event-id': last });
    const rest = readUntil(resumed, null);
    await sh(id, 'echo x > later');
    await cordon.delete(`/v1/sandboxes/${id}`);
    expect(await rest).toMatch(/later[\s\S]*event: end\ndata: \{\}\n\n$/);
    expect(await rest).not.toContain('before');
    const [firstId] = (await rest).match(/(?<=^id: )\d+/) ?? [];
    expect(Number(firstId)).toBe(Number(last) + 1);
    expect(await readUntil(plain, null)).toMatch(/before[\s\S]*after[\s\S]*later/);
  });

  it('can be read when it has ended, and when its worker was killed', async () => {
    const id = await create();
    await sh(id, 'echo x > kept');
    await cordon.delete(`/v1/sandboxes/${id}`);
    expect(JSON.stringify(await records(id))).toContain('kept');
    const redis = connect(cordon.redis.url);
    try {
      const left = await redis.ttl(keys.sandboxAudit(id));
      expect(left).toBeGreaterThan(3000);
      expect(left).toBeLessThanOrEqual(3600);
    } finally {
      redis.disconnect();
    }
  });

  it('outlive a worker that was killed; those who follow are told the end', async () => {
    const worker = await cordon.startWorker();
    const ids: string[] = [];
    const redis = connect(cordon.redis.url);
    const keeper = async (id: string): Promise<string> =>
      JSON.parse((await redis.get(keys.sandbox(id))) as string).worker as string;
    try {
      // Workers are taken at random: until both have one.
      do ids.push(await create());
      while (new Set(await Promise.all(ids.map(keeper))).size < 2);
      await Promise.all(ids.map((id) => sh(id, 'echo x > survives')));
      await Promise.all(ids.map((id) => records(id)));
      const followed = await Promise.all(ids.map((id) => open(id, '?follow=true')));
      const texts = followed.map((response) => readUntil(response, null));
      await cordon.stopWorker(worker, 'SIGKILL');
      expect(await Promise.race(texts)).toContain('survives');
      const states = await Promise.all(ids.map(async (id) => (await cordon.get(`/v1/sandboxes/${id}`)).body));
      const lost = states.filter(({ endReason }) => endReason === 'worker_lost');
      expect(lost.length).toBeGreaterThan(0);
      for (const { id } of lost) expect(JSON.stringify(await records(id))).toContain('survives');
      for (const { id, state } of states) if (state === 'running') await cordon.delete(`/v1/sandboxes/${id}`);
      await Promise.all(texts);
    } finally {
      redis.disconnect();
    }
  }, 60_000);

  it('say what is missing when there were too many of them', async () => {
    const id = await create({ audit: { level: 'full' } });
    await sh(id, 'i=0; while [ $i -lt 10000 ]; do echo x > /dev/null; i=$((i+1)); done');
    const [gap, next, ...rest] = await records(id, '?pid=999999&syscall=none');
    expect(gap.name).toBe('audit_gap');
    expect([next, rest]).toEqual([undefined, []]);
    const all = await records(id);
    expect(all[0]).toMatchObject({ name: 'audit_gap', sequence: all[1].sequence - 1 });
    expect(Number(all[0].arguments[0].text)).toBe(all[1].sequence);
    expect(all.slice(1).map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: all.length - 1 }, (_, index) => all[1].sequence + index),
    );
    expect(JSON.stringify(all).length).toBeLessThan(SANDBOX_AUDIT_BYTES);
  }, 60_000);

  it('are nobody else’s, and are asked for rightly', async () => {
    const id = await create();
    expect((await cordon.get(`/v1/sandboxes/${id}/audit`, OTHER_KEY)).status).toBe(404);
    for (const query of ['?format=xml', '?pid=x', '?follow=maybe', '?pid=0', `?comm=${'x'.repeat(16)}`, '?pid=1&pid=2'])
      expect((await open(id, query)).status, query).toBe(422);
    expect((await open(id, '', { 'last-event-id': 'x' })).status).toBe(422);
  });
});
