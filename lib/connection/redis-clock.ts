import { performance } from 'node:perf_hooks';
import type { RedisReply } from './redis-command.js';

/** How often Redis is asked for the time, in ms. */
const INTERVAL = 10_000;

/**
 * The clock of Redis, as far as this process can tell it: Redis' TIME, taken now and then, and the monotonic clock of this
 * process since. What the host believes the time to be, and its corrections, do not matter. It is off by at most half of the
 * round trip of the last TIME, and by what the two clocks drifted apart since then.
 */
export class RedisClock {
  /** What the moments of Redis are ahead of those of `performance.now()`, in ms. Until Redis has told: by the host's clock. */
  private ahead = Date.now() - performance.now();

  /** Now, in ms since the epoch. */
  now(): number {
    return Math.floor(performance.now() + this.ahead);
  }

  /** Asks a server for the time, at once and then every ten seconds until the connection to it has ended. */
  async follow(ended: Promise<unknown>, ask: () => Promise<RedisReply>): Promise<void> {
    const timer = setInterval(() => void this.set(ask), INTERVAL).unref();
    void ended.then(() => clearInterval(timer));
    await this.set(ask);
  }

  private async set(ask: () => Promise<RedisReply>): Promise<void> {
    const sentAt = performance.now();
    const time = await ask().catch(() => undefined); // a server that does not tell has the time of before
    if (!Array.isArray(time)) return;
    const [seconds, microseconds] = time.map(Number);
    this.ahead = Number(seconds) * 1000 + Number(microseconds) / 1000 - (sentAt + performance.now()) / 2;
  }
}
