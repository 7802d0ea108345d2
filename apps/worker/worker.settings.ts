import { availableParallelism } from 'node:os';

function count(text: string | undefined, fallback: number, name: string): number {
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${name}: "${text}" is no positive number`);
  return Number(text);
}

/** A worker's settings, from the environment. */
export class WorkerSettings {
  constructor(
    readonly redisUrl: string,
    /** Executions at once. */
    readonly concurrency: number,
    /** Ready Sentries kept. */
    readonly spares: number,
  ) {}

  static fromEnvironment(env: NodeJS.ProcessEnv): WorkerSettings {
    if (!env.REDIS_URL) throw new Error('REDIS_URL is not set: a worker needs the Redis of its API');
    const concurrency = count(env.CORDON_CONCURRENCY, Math.max(2, availableParallelism()), 'CORDON_CONCURRENCY');
    return new WorkerSettings(env.REDIS_URL, concurrency, count(env.CORDON_SPARES, concurrency + 1, 'CORDON_SPARES'));
  }
}
