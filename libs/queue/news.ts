import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** What a follower is told: `last`: it is over; `result`: its end as JSON, when that is short enough for a message. */
export type Follower = (last: boolean, result: string | null) => void;

/** One subscription per process: tells who follows an execution that its stream has news. */
export class News {
  private readonly followers = new Map<string, Set<Follower>>();

  private constructor(private readonly redis: Redis) {
    redis.on('message', (_channel: string, message: string) => {
      const space = message.indexOf(' ');
      const id = space < 0 ? message : message.slice(0, space);
      const followers = this.followers.get(id);
      if (!followers) return;
      const result = space < 0 ? '' : message.slice(space + ' end '.length);
      for (const wake of followers) wake(space >= 0, result === '' ? null : result);
    });
  }

  /** Takes the connection over. */
  static async subscribe(redis: Redis): Promise<News> {
    const news = new News(redis);
    await redis.subscribe(keys.news);
    return news;
  }

  /** Calls `wake` at each news (`last`: it is over) until the returned function is called. */
  follow(id: string, wake: Follower): () => void {
    const set = this.followers.get(id) ?? new Set<Follower>();
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
