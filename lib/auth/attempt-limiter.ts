import { CacheArgumentError } from '../redis-cache.errors.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';

/** The options of an `AttemptLimiter` after validation. */
export interface AttemptLimiterSettings {
  readonly limit: number;
  readonly window: number;
  readonly lockout: { readonly first: number; readonly factor: number; readonly longest: number } | undefined;
}

/** What an attempt gives. */
export interface Attempt {
  readonly allowed: boolean;
  /** The attempts that were allowed since the count began, this one included. */
  readonly count: number;
  /** How many more are allowed now. */
  readonly remaining: number;
  /** The ms after which the next attempt can be allowed; 0 if this one was. */
  readonly retryAfter: number;
}

/** Counts attempts, and refuses those beyond a limit. */
export class AttemptLimiter {
  /** @internal */
  constructor(_store: RedisCacheStore, _settings: AttemptLimiterSettings) {}

  /** Counts an attempt. @example `const { allowed, retryAfter } = await limiter.hit(`login:${email}`)` */
  async hit(_key: string): Promise<Attempt> {
    throw new CacheArgumentError('hit: comes with the next commits');
  }

  /** What the next attempt would be told, without counting one. @example `const { remaining } = await limiter.peek(key)` */
  async peek(_key: string): Promise<Attempt> {
    throw new CacheArgumentError('peek: comes with the next commits');
  }

  /** Forgets the attempts: after a success. `false`: there were none. @example `await limiter.reset(key)` */
  async reset(_key: string): Promise<boolean> {
    throw new CacheArgumentError('reset: comes with the next commits');
  }
}
