import type { ThrottlerStorage } from '@nestjs/throttler';
import { boundedTtl } from '../redis-cache.duration.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';

/** What `@nestjs/throttler` is told of a hit; times are in seconds, rounded up. */
type Hit = Awaited<ReturnType<ThrottlerStorage['increment']>>;

/**
 * Counts the hits of `@nestjs/throttler` in Redis, exactly over any number of instances: a hit is one script in one round trip, judged
 * by the clock of Redis. A window begins with its first hit. With a `blockDuration` a refused hit blocks for so long, and then a new window begins.
 * In an outage `increment` rejects with CacheUnavailableError, so that the answer is 503.
 *
 * @example
 * ```ts
 * ThrottlerModule.forRootAsync({
 *   inject: [RedisCacheStore],
 *   useFactory: (store: RedisCacheStore) => ({
 *     throttlers: [{ limit: 10, ttl: 60_000 }],
 *     storage: new RedisCacheThrottlerStorage(store.scope('throttler')),
 *   }),
 * });
 * ```
 */
export class RedisCacheThrottlerStorage implements ThrottlerStorage {
  readonly #store: RedisCacheStore;

  constructor(store: RedisCacheStore) {
    this.#store = store;
  }

  /** @param ttl - in ms, as is `blockDuration` */
  async increment(key: string, ttl: number, limit: number, blockDuration: number, throttlerName: string): Promise<Hit> {
    if (limit < 1) return refused(1, ttl, blockDuration || ttl); // nothing is ever allowed, so there is nothing to count
    const hit = await this.#store.increment(`${throttlerName}:${key}`, {
      ttl: boundedTtl(ttl),
      ...(limit <= Number.MAX_SAFE_INTEGER && {
        limit: Math.floor(limit),
        ...(blockDuration > 0 && { block: { first: boundedTtl(blockDuration) } }),
      }),
    });
    const left = hit.ttl ?? 0;
    if (!hit.allowed) return refused(hit.count + 1, left, left);
    return { totalHits: hit.count, timeToExpire: seconds(left), isBlocked: false, timeToBlockExpire: 0 };
  }
}

function refused(totalHits: number, left: number, blocked: number): Hit {
  return { totalHits, timeToExpire: seconds(left), isBlocked: true, timeToBlockExpire: seconds(blocked) };
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}
