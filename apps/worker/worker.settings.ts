import { availableParallelism } from 'node:os';
import { PLATFORM_NAMES } from '@cordon/pool';
import type { PlatformChoice, PlatformName } from '@cordon/pool/types';

function count(text: string | undefined, fallback: number, name: string): number {
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name}: "${text}" is no positive number`);
  return Number(text);
}

/** 1 or 0; unset is 0. */
function switchOf(text: string | undefined, name: string): boolean {
  if (text !== undefined && !['', '0', '1'].includes(text)) throw new Error(`${name}: "${text}" is neither 0 nor 1`);
  return text === '1';
}

function platformOf(text = 'auto'): PlatformChoice {
  const choices: readonly PlatformChoice[] = ['auto', ...PLATFORM_NAMES];
  const choice = choices.find((name) => name === text);
  if (!choice) throw new Error(`CORDON_PLATFORM: "${text}" is none of ${choices.join(', ')}`);
  return choice;
}

/** Names, by commas. */
function platformsOf(text = ''): PlatformName[] {
  const names = text.split(',').filter((name) => name !== '');
  return names.map((name) => {
    const known = PLATFORM_NAMES.find((platform) => platform === name);
    if (!known) throw new Error(`CORDON_PLATFORMS_ALLOWED: "${name}" is none of ${PLATFORM_NAMES.join(', ')}`);
    return known;
  });
}

/** CORDON_LINK_HOST, _PORT: where to listen (default: loopback, any port). CORDON_LINK_NAME: how other hosts call this one. */
function linkOf(env: NodeJS.ProcessEnv): WorkerSettings['link'] {
  const host = env.CORDON_LINK_HOST || '127.0.0.1';
  const port = env.CORDON_LINK_PORT ? count(env.CORDON_LINK_PORT, 0, 'CORDON_LINK_PORT') : 0;
  if (port > 65535) throw new Error(`CORDON_LINK_PORT: "${port}" is no port`);
  const anywhere = host === '0.0.0.0' || host === '::';
  if (anywhere && !env.CORDON_LINK_NAME) throw new Error('CORDON_LINK_NAME is not set: how do APIs reach this worker?');
  return { host, port, name: env.CORDON_LINK_NAME || host };
}

/** A worker's settings, from the environment. */
export class WorkerSettings {
  constructor(
    readonly redisUrl: string,
    /** Guests at once: by default one for each core, so that none shares its own (see README). */
    readonly concurrency: number,
    /** Ready Sentries kept. */
    readonly spares: number,
    readonly platform: PlatformChoice,
    /** Sandboxes at once. */
    readonly sandboxes: number,
    /** Where the door to the sandboxes listens, and the host name under which APIs find it. */
    readonly link: { readonly host: string; readonly port: number; readonly name: string },
    /** Where compilations are kept; null: nowhere. */
    readonly cacheDirectory: string | null = null,
    /** Platforms that a request may name beside the worker's own. */
    readonly platformsAllowed: readonly PlatformName[] = [],
    /** The exit-less mode of KVM. */
    readonly kvmExitless = false,
  ) {}

  static fromEnvironment(env: NodeJS.ProcessEnv): WorkerSettings {
    if (!env.REDIS_URL) throw new Error('REDIS_URL is not set: a worker needs the Redis of its API');
    const concurrency = count(env.CORDON_CONCURRENCY, availableParallelism(), 'CORDON_CONCURRENCY');
    const spares = count(env.CORDON_SPARES, concurrency + 1, 'CORDON_SPARES');
    const sandboxes = count(env.CORDON_SANDBOXES, 64, 'CORDON_SANDBOXES');
    return new WorkerSettings(
      env.REDIS_URL,
      concurrency,
      spares,
      platformOf(env.CORDON_PLATFORM),
      sandboxes,
      linkOf(env),
      env.CORDON_CACHE_DIR || null,
      platformsOf(env.CORDON_PLATFORMS_ALLOWED),
      switchOf(env.CORDON_KVM_EXITLESS, 'CORDON_KVM_EXITLESS'),
    );
  }
}
