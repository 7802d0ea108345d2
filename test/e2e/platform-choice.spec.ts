import type { ExecutionDto, SandboxDto, WorkerDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';

/** Each platform's pool starts, with a zygote that rehearses: seconds on a busy machine. */
const STARTS_MS = 120_000;
const NAMES = ['systrap', 'kvm', 'ptrace'];
const strict = useDeployment({ workers: 1 });
const open = useDeployment({ workers: 1, workerEnv: { CORDON_PLATFORMS_ALLOWED: NAMES.join(',') } });

const workerOf = async (cordon: typeof open): Promise<WorkerDto> => (await cordon.get('/v1/workers')).body[0];

describe('a platform that a request names', () => {
  it(
    'runs it, and the result says so',
    async () => {
      const { platform, platforms } = await workerOf(open);
      expect(platforms[0]).toBe(platform);
      expect(new Set(platforms).size).toBe(platforms.length);
      // Twice: started, and there already.
      for (const name of [...platforms, ...platforms]) {
        const result = await open.run({ command: ['/bin/echo', name], platform: name });
        expect(result).toMatchObject({ state: 'succeeded', stdout: `${name}\n`, platform: name });
      }
      expect(await open.run({ command: ['/bin/true'], platform: 'auto' })).toMatchObject({ platform });
      expect(await open.run({ command: ['/bin/true'] })).toMatchObject({ platform });
    },
    STARTS_MS,
  );

  it(
    'serves a sandbox for its whole life',
    async () => {
      const { platforms } = await workerOf(open);
      for (const name of platforms) {
        const created = await open.postTo('/v1/sandboxes', { platform: name });
        expect(created.status).toBe(201);
        const { id } = created.body as SandboxDto;
        const exec = await open.postTo(`/v1/sandboxes/${id}/exec`, { command: ['/bin/echo', 'here'] });
        expect(exec.body).toMatchObject({ stdout: 'here\n' });
        expect((await open.get(`/v1/sandboxes/${id}`)).body).toMatchObject({ state: 'running', platform: name });
        await open.delete(`/v1/sandboxes/${id}`);
      }
    },
    STARTS_MS,
  );

  it('is refused where it does not work, though it is allowed', async () => {
    const { platforms } = await workerOf(open);
    for (const name of NAMES.filter((one) => !platforms.includes(one))) {
      const refused = await open.post({ command: ['/bin/true'], platform: name });
      expect(refused.body).toMatchObject({ status: 422, errors: [{ pointer: '/platform' }] });
    }
  });

  it('is refused unless the operator allows it; the worker’s own may always be named', async () => {
    const { platform, platforms } = await workerOf(strict);
    expect(platforms).toEqual([platform]);
    for (const name of NAMES.filter((one) => one !== platform)) {
      for (const path of ['/v1/executions', '/v1/sandboxes']) {
        const body = path.endsWith('executions') ? { command: ['/bin/true'], platform: name } : { platform: name };
        const refused = await strict.postTo(path, body);
        expect(refused.status).toBe(422);
        expect(refused.body.type).toBe('urn:cordon:problem:invalid-request');
        expect(refused.body.errors).toEqual([
          {
            pointer: '/platform',
            detail: `"${name}" is not allowed or does not work here; there is: auto, ${platform}`,
          },
        ]);
      }
    }
    const result = (await strict.run({ command: ['/bin/true'], platform })) as ExecutionDto;
    expect(result).toMatchObject({ state: 'succeeded', platform });
    const created = await strict.postTo('/v1/sandboxes', {});
    expect(created.body).toMatchObject({ platform });
    await strict.delete(`/v1/sandboxes/${created.body.id}`);
  });

  it('is refused when there is no such thing', async () => {
    for (const path of ['/v1/executions', '/v1/sandboxes']) {
      const refused = await strict.postTo(path, { command: ['/bin/true'], platform: 'qemu' });
      expect(refused.status).toBe(422);
      expect(refused.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toContain('/platform');
    }
  });
});
