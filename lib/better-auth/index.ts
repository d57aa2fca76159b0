import type { SecondaryStorage } from 'better-auth';
import { boundedTtl } from '../redis-cache.duration.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';

/**
 * The `secondaryStorage` of better-auth, for sessions, verification values and rate limits. `getAndDelete` and `increment` are one atomic
 * step each. Counters are a kind of their own: `get` and `delete` do not see them. A ttl is better-auth's, in seconds; without one it is
 * that of the store. Failures reject, so that an outage is an error and not a missing session.
 *
 * @example
 * ```ts
 * betterAuth({ secondaryStorage: redisCacheSecondaryStorage(store), rateLimit: { storage: 'secondary-storage' } });
 * ```
 */
export function redisCacheSecondaryStorage(store: RedisCacheStore): SecondaryStorage {
  // better-auth takes the functions out of the object.
  return {
    get: async (key) => (await store.get(key)) ?? null,
    getAndDelete: async (key) => (await store.take(key)) ?? null,
    set: (key, value, ttl) => store.put(key, value, ttl === undefined ? {} : { ttl: boundedTtl(ttl * 1000) }),
    increment: async (key, ttl) => (await store.increment(key, { ttl: boundedTtl(ttl * 1000) })).count,
    delete: async (key) => void (await store.delete(key)),
  };
}
