/** What {@link CacheUnavailableError} knows about why no answer came. */
export type UnavailableReason = 'disconnected' | 'timeout' | 'closed';

/** Whether Redis may have carried out the call, now or later: `not-sent` says it never will. */
export type CallOutcome = 'not-sent' | 'unknown';

/**
 * The root of everything this package throws: one subclass for each decision a caller takes.
 * No message, property or cause shows a value, a whole key or a password.
 *
 * @example
 * ```ts
 * catch (error) {
 *   if (error instanceof RedisCacheError) logger.warn(`${error.code}: ${error.message}`);
 * }
 * ```
 */
export abstract class RedisCacheError extends Error {
  /** Stable and machine-readable, e.g. `CACHE_UNAVAILABLE`. */
  abstract readonly code: string;

  constructor(message: string, options?: { cause?: unknown }) {
    // An explicit `cause: undefined` would still show up when the error is inspected.
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
  }
}

/**
 * An option is wrong, or Redis refused what it asks for (login, database, certificate). Fails the boot.
 *
 * @example
 * ```ts
 * RedisCacheModule.forRoot({ ttl: 0 }); // CacheConfigError: option "ttl": …
 * ```
 */
export class CacheConfigError extends RedisCacheError {
  readonly code = 'CACHE_CONFIG';

  constructor(
    /** The name of the option, as written in `forRoot`. */
    readonly option: string,
    problem: string,
    options?: { cause?: unknown },
  ) {
    super(`option "${option}": ${problem}`, options);
  }
}

/**
 * The caller's bug: a bad key, ttl, tag or a value that cannot be stored. Nothing was sent.
 *
 * @example
 * ```ts
 * await store.put('', user); // CacheArgumentError: key: must not be empty
 * ```
 */
export class CacheArgumentError extends RedisCacheError {
  readonly code = 'CACHE_ARGUMENT';

  constructor(
    message: string,
    options?: {
      cause?: unknown;
      /** What the store's schema said, where it was the schema that refused. */
      issues?: readonly { readonly message: string }[];
    },
  ) {
    super(message, options);
    // Not enumerable: a schema's messages may quote the value, and whoever logs the error must not log that.
    if (options?.issues) Object.defineProperty(this, 'issues', { value: options.issues });
  }

  /** The issues of the store's schema, if the schema refused the value. */
  declare readonly issues?: readonly { readonly message: string }[];
}

/**
 * No answer from Redis. Answer 503, never "not logged in".
 *
 * @example
 * ```ts
 * if (error instanceof CacheUnavailableError) response.status(503).header('Retry-After', '1');
 * ```
 */
export class CacheUnavailableError extends RedisCacheError {
  readonly code = 'CACHE_UNAVAILABLE';

  constructor(
    /** `disconnected`: no connection; `timeout`: no reply in time; `closed`: this application closed the store. */
    readonly reason: UnavailableReason,
    /** `not-sent`: Redis never got the call and never will; `unknown`: it may have carried it out, or still may. */
    readonly outcome: CallOutcome,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/**
 * Redis answered with a refusal. Nothing was written by the refused command.
 *
 * @example
 * ```ts
 * if (error instanceof CacheCommandError && error.reply === 'OOM') alert('Redis is full');
 * ```
 */
export class CacheCommandError extends RedisCacheError {
  readonly code = 'CACHE_COMMAND';

  constructor(
    /** The first word of Redis' reply: `OOM`, `READONLY`, `NOPERM`, `WRONGTYPE`, … */
    readonly reply: string,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/**
 * The bytes under a key are no record of this store: foreign, truncated, altered, or refused by the schema.
 *
 * @example
 * ```ts
 * if (error instanceof CacheCorruptError) return reject(401); // never a wrong value
 * ```
 */
export class CacheCorruptError extends RedisCacheError {
  readonly code = 'CACHE_CORRUPT';
}
