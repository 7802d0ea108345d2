import { availableParallelism } from 'node:os';
import { PLATFORM_NAMES } from '@cordon/pool';
import type { PlatformChoice } from '@cordon/pool/types';

function count(text: string | undefined, fallback: number, name: string): number {
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name}: "${text}" is no positive number`);
  return Number(text);
}

function platformOf(text = 'auto'): PlatformChoice {
  const choices: readonly PlatformChoice[] = ['auto', ...PLATFORM_NAMES];
  const choice = choices.find((name) => name === text);
  if (!choice) throw new Error(`CORDON_PLATFORM: "${text}" is none of ${choices.join(', ')}`);
  return choice;
}

/** A worker's settings, from the environment. */
export class WorkerSettings {
  constructor(
    readonly redisUrl: string,
    /** Executions at once. */
    readonly concurrency: number,
    /** Ready Sentries kept. */
    readonly spares: number,
    readonly platform: PlatformChoice,
  ) {}

  static fromEnvironment(env: NodeJS.ProcessEnv): WorkerSettings {
    if (!env.REDIS_URL) throw new Error('REDIS_URL is not set: a worker needs the Redis of its API');
    const concurrency = count(env.CORDON_CONCURRENCY, Math.max(2, availableParallelism()), 'CORDON_CONCURRENCY');
    const spares = count(env.CORDON_SPARES, concurrency + 1, 'CORDON_SPARES');
    return new WorkerSettings(env.REDIS_URL, concurrency, spares, platformOf(env.CORDON_PLATFORM));
  }
}
