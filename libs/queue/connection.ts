import { Redis, type RedisOptions } from 'ioredis';

/** Where Redis is: a redis:// URL, or unix:///path/to/socket. */
export function connect(url: string, options: RedisOptions = {}): Redis {
  const common: RedisOptions = { maxRetriesPerRequest: null, enableReadyCheck: true, ...options };
  if (url.startsWith('unix://')) return new Redis({ path: url.slice('unix://'.length), ...common });
  return new Redis(url, common);
}
