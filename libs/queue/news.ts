import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** One subscription per process: tells who follows an execution that its stream has news. */
export class News {
  private readonly followers = new Map<string, Set<(last: boolean) => void>>();

  private constructor(private readonly redis: Redis) {
    redis.on('message', (_channel: string, message: string) => {
      const [id, end] = message.split(' ');
      for (const wake of this.followers.get(id) ?? []) wake(end === 'end');
    });
  }

  /** Takes the connection over. */
  static async subscribe(redis: Redis): Promise<News> {
    const news = new News(redis);
    await redis.subscribe(keys.news);
    return news;
  }

  /** Calls `wake` at each news (`last`: it is over) until the returned function is called. */
  follow(id: string, wake: (last: boolean) => void): () => void {
    const set = this.followers.get(id) ?? new Set<(last: boolean) => void>();
    this.followers.set(id, set);
    set.add(wake);
    return () => {
      set.delete(wake);
      if (set.size === 0) this.followers.delete(id);
    };
  }

  async close(): Promise<void> {
    await this.redis.quit().catch(() => undefined);
  }
}
