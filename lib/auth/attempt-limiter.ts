import { CacheArgumentError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { sha256 } from './secrets.js';

/** The options of an `AttemptLimiter` after validation; times in ms. */
export interface AttemptLimiterSettings {
  readonly limit: number;
  readonly window: number;
  readonly lockout: { readonly first: number; readonly factor: number; readonly longest: number } | undefined;
}

/** What an attempt is told. */
export interface Attempt {
  readonly allowed: boolean;
  /** The attempts that were allowed since the count began. */
  readonly count: number;
  /** How many more are allowed now. */
  readonly remaining: number;
  /** The ms after which the next attempt can be allowed; 0 if this one was. */
  readonly retryAfter: number;
}

/**
 * Bounds attempts, such as those at a login (NIST SP 800-63B-4 §3.2.2: no more than 100 consecutive failures of one account).
 *
 * - The hit after `limit` is the first one that is refused: exactly, whatever the number of callers and processes.
 * - Without `lockout` hits are allowed again when `window` is over, which begins with the first hit. With `lockout` the first
 *   refused hit locks, and each further series of hits locks for longer. Hits within a lockout do not make it longer.
 * - A key is any text, of any length, such as what a client sent; Redis is given its SHA-256. Bring it into one form
 *   (lower case, trimmed) before, or each form has attempts of its own.
 *
 * Limit the account and the client's address, each with a key of its own: an address alone does not stop a botnet, and an account
 * alone lets strangers lock its owner out (OWASP, Authentication Cheat Sheet). Redis times all this by its own clock.
 *
 * Somebody with a dump of Redis can try out which addresses were counted. Somebody who may write to Redis can reset counts, or lock
 * others out. There is no token here that could be stolen; a stolen session or code is counted like its owner's.
 * After an `unknown` the hit may have been counted: treat the attempt as refused, or hit again, which may count it twice. `peek` and
 * `reset` can be repeated.
 *
 * @example
 * ```ts
 * const { allowed, retryAfter } = await this.attempts.hit(`login:${email}`);
 * if (!allowed) throw new TooManyAttemptsError(retryAfter);
 * const user = await this.users.verify(email, password);
 * await this.attempts.reset(`login:${email}`);
 * ```
 */
export class AttemptLimiter {
  readonly #store: RedisCacheStore;
  readonly #settings: AttemptLimiterSettings;

  /** @internal */
  constructor(store: RedisCacheStore, settings: AttemptLimiterSettings) {
    this.#store = store;
    this.#settings = settings;
  }

  /** Counts an attempt, before it is made; one round trip. @example `const { allowed } = await attempts.hit(`login:${email}`)` */
  async hit(key: string): Promise<Attempt> {
    const { limit, window, lockout } = this.#settings;
    const options = { limit, ttl: window, ...(lockout && { block: lockout }) };
    const { allowed, count, retryAfter } = await this.#store.increment(counterOf(key), options);
    return { allowed, count, remaining: allowed ? Math.max(0, limit - count) : 0, retryAfter };
  }

  /**
   * What a hit would be told now, without counting one; of an unknown key: allowed, with a count of 0. One round trip.
   * (After `limit` was raised, a lockout that is still running is told by `hit` alone.)
   *
   * @example `const { remaining } = await attempts.peek(`login:${email}`)`
   */
  async peek(key: string): Promise<Attempt> {
    const { limit } = this.#settings;
    const { count, ttl } = (await this.#store.counter(counterOf(key))) ?? { count: 0, ttl: 0 };
    const remaining = Math.max(0, limit - count);
    return { allowed: remaining > 0, count, remaining, retryAfter: remaining > 0 ? 0 : (ttl ?? Infinity) };
  }

  /** Forgets attempts and lockouts: after a success. `false`: there was nothing to forget. @example `await attempts.reset(`login:${email}`)` */
  async reset(key: string): Promise<boolean> {
    return this.#store.resetCounter(counterOf(key));
  }
}

/** @throws CacheArgumentError */
function counterOf(key: string): string {
  if (typeof key !== 'string') throw new CacheArgumentError(`key: must be a string, not ${typeof key}`);
  return sha256(key);
}
