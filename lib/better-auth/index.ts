import { boundedTtl } from '../redis-cache.duration.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';

/**
 * The part of better-auth's `SecondaryStorage` that has to be there. It is written out here because better-auth cannot be a peer: npm
 * reckons with the peers of an optional peer too, and those of better-auth want a Babel that Jest does not, so that no application with Jest
 * could install this package.
 */
export interface RedisCacheSecondaryStorage {
  get: (key: string) => Promise<unknown>;
  getAndDelete: (key: string) => Promise<unknown>;
  /** `ttl` in seconds. */
  set: (key: string, value: string, ttl?: number) => Promise<void>;
  /** `ttl` in seconds, of a counter that begins with this call. */
  increment: (key: string, ttl: number) => Promise<number>;
  delete: (key: string) => Promise<void>;
}

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
export function redisCacheSecondaryStorage(store: RedisCacheStore): RedisCacheSecondaryStorage {
  // better-auth takes the functions out of the object.
  return {
    get: async (key) => (await store.get(key)) ?? null,
    getAndDelete: async (key) => (await store.take(key)) ?? null,
    set: (key, value, ttl) => store.put(key, value, ttl === undefined ? {} : { ttl: boundedTtl(ttl * 1000) }),
    increment: async (key, ttl) => (await store.increment(key, { ttl: boundedTtl(ttl * 1000) })).count,
    delete: async (key) => void (await store.delete(key)),
  };
}
