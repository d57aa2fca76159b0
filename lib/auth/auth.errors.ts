import { afterAPart, brand, CacheLimitError, RedisCacheError } from '../redis-cache.errors.js';

/**
 * The subject has as many sessions as `limit` of `Sessions` allows, and `when` is `'refuse'`. Nothing was left behind.
 *
 * @example
 * ```ts
 * if (error instanceof TooManySessionsError) throw new ConflictException('Sign out on another device first');
 * ```
 */
export class TooManySessionsError extends RedisCacheError {
  readonly code = 'TOO_MANY_SESSIONS';

  constructor(
    /** How many sessions a subject may have. */
    readonly limit: number,
  ) {
    super(`the subject has ${limit} sessions, which is the limit`);
  }

  static {
    brand(this, 'TooManySessionsError');
  }
}

/** What a refused write is to a caller of `Sessions`. @throws TooManySessionsError, or the error as it is */
export function asTooManySessions(error: unknown): never {
  throw error instanceof CacheLimitError ? new TooManySessionsError(error.limit) : error;
}

/** What a failure is to a call that has written before. @throws the error, as one of unknown outcome if it says that nothing was sent */
export function failAfterAPart(error: unknown): never {
  throw afterAPart(error);
}

/**
 * More was tried than is allowed. Answer 429 with a `Retry-After` header.
 *
 * @example
 * ```ts
 * if (error instanceof TooManyAttemptsError) response.status(429).header('Retry-After', String(Math.ceil(error.retryAfter / 1000)));
 * ```
 */
export class TooManyAttemptsError extends RedisCacheError {
  readonly code = 'TOO_MANY_ATTEMPTS';

  constructor(
    /** The ms after which the next attempt can be allowed. */
    readonly retryAfter: number,
  ) {
    super(`too many attempts; the next one can be allowed in ${Math.ceil(retryAfter / 1000)} s`);
  }

  static {
    brand(this, 'TooManyAttemptsError');
  }
}
