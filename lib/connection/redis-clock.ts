import type { RedisReply } from '../ioredis/command.js';
import { now, wallNow } from '../redis-cache.timers.js';

/**
 * The clock of Redis, as far as this process can tell it: Redis' TIME, taken when a connection opens and with its heartbeats, and the
 * monotonic clock of this process since. What the host believes the time to be, and its corrections, do not matter. It is off
 * by at most half of the round trip of the last TIME, and by what the two clocks drifted apart since then; on a Cluster also
 * by what the clocks of its nodes differ.
 */
export class RedisClock {
  /** What the moments of Redis are ahead of those of the monotonic clock, in ms. Until Redis has told: by the host's clock. */
  private ahead = wallNow() - now();

  /** Now, in ms since the epoch. */
  now(): number {
    return Math.floor(now() + this.ahead);
  }

  /** Takes in a reply to TIME; a server that does not tell has the time of before. */
  set(time: RedisReply | undefined, sentAt: number): void {
    if (!Array.isArray(time)) return;
    const [seconds, microseconds] = time.map(Number);
    this.ahead = Number(seconds) * 1000 + Number(microseconds) / 1000 - (sentAt + now()) / 2;
  }
}
