/** Why no answer came; see {@link CacheUnavailableError.reason}. */
export type UnavailableReason = 'disconnected' | 'timeout' | 'closed';

/** Whether the call has an effect; see {@link CacheUnavailableError.outcome}. */
export type CallOutcome = 'not-sent' | 'unknown';

/** The mark that instances of each class carry, which other copies of this package know too. */
const brands = new WeakMap<object, symbol>();

/** Marks a class of this package. The name is written out at each class, since bundlers shorten the names of classes. */
export function brand(errorClass: { readonly prototype: Error }, name: string): void {
  const mark = Symbol.for(`nestjs-redis-cache-store.${name}`);
  brands.set(errorClass, mark);
  Object.defineProperty(errorClass.prototype, mark, { value: true });
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true });
}

/**
 * The base class of every error of this package. Each subclass stands for one decision of the caller.
 *
 * - `code` is stable, for machines; messages are for people and may change.
 * - No message, property or cause shows a value, a whole key or a password.
 * - `instanceof` holds across copies of the package in one process, class by class.
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
  }

  /** By the mark of the class; for a class that an application derives, by its prototype. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    const mark = brands.get(this);
    return mark === undefined ? Object.prototype.isPrototypeOf.call(this.prototype, value) : mark in value;
  }

  static {
    brand(this, 'RedisCacheError');
  }
}

/**
 * An option is wrong, or Redis refused what an option asks for (login, database, certificate). The boot fails with it.
 *
 * @example
 * ```ts
 * RedisCacheModule.forFeature({ namespace: 'code', ttl: 0 });
 * // CacheConfigError: option "ttl" of the store "code": must be …
 * ```
 */
export class CacheConfigError extends RedisCacheError {
  readonly code = 'CACHE_CONFIG';
  /** The name of the store of `forFeature` that the option belongs to; `undefined` for an option of `forRoot`. */
  declare readonly store?: string;
  /** The name of the connection that the option belongs to; `undefined` for the default one. */
  declare readonly connection?: string;

  constructor(
    /** The name of the option, as it is written in the code, e.g. `nearCache.lease`. */
    readonly option: string,
    /** What is wrong with it, and what to write instead. */
    readonly problem: string,
    options: { cause?: unknown; store?: string | undefined; connection?: string | undefined } = {},
  ) {
    const { store, connection } = options;
    const owner = store === undefined ? connection && `the connection "${connection}"` : `the store "${store}"`;
    super(`option "${option}"${owner ? ` of ${owner}` : ''}: ${problem}`, options);
    if (store !== undefined) this.store = store;
    if (connection !== undefined) this.connection = connection;
  }

  static {
    brand(this, 'CacheConfigError');
  }
}

/**
 * A bug of the caller: a bad key, ttl, tag or option, or a value that cannot be stored. Nothing was sent.
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
      /** The issues that the store's schema found, if the schema refused the value. */
      issues?: readonly { readonly message: string }[];
    },
  ) {
    super(message, options);
    // Not enumerable: a schema's messages may quote the value, and whoever logs the error must not log that.
    if (options?.issues) Object.defineProperty(this, 'issues', { value: options.issues });
  }

  /** The issues of the store's schema, if the schema refused the value. Not enumerable: they may quote the value. */
  declare readonly issues?: readonly { readonly message: string }[];

  static {
    brand(this, 'CacheArgumentError');
  }
}

/**
 * No answer came from Redis, or from the function of `encryption` about the key of a record. Answer 503, never "not logged in";
 * {@link CacheUnavailableFilter} does that.
 *
 * @example
 * ```ts
 * if (error instanceof CacheUnavailableError && error.outcome === 'not-sent') return retryLater();
 * ```
 */
export class CacheUnavailableError extends RedisCacheError {
  readonly code = 'CACHE_UNAVAILABLE';

  constructor(
    /** `disconnected`: there is no connection. `timeout`: no reply came within `timeout`. `closed`: this application closed the store. */
    readonly reason: UnavailableReason,
    /** `not-sent`: the call has no effect and never will have. `unknown`: it may have had its effect, or may still have it. */
    readonly outcome: CallOutcome,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  static {
    brand(this, 'CacheUnavailableError');
  }
}

/** What a failure is to a call of which a part has been, or may have been, carried out: no longer `not-sent`. */
export function afterAPart(error: unknown): unknown {
  if (!(error instanceof CacheUnavailableError) || error.outcome !== 'not-sent') return error;
  const { reason, message, cause } = error;
  return new CacheUnavailableError(reason, 'unknown', `${message} (a part of the call was carried out)`, { cause });
}

/**
 * Redis answered with a refusal. The refused command wrote nothing.
 *
 * @example
 * ```ts
 * if (error instanceof CacheCommandError && error.reply === 'OOM') alert('Redis is full');
 * ```
 */
export class CacheCommandError extends RedisCacheError {
  readonly code = 'CACHE_COMMAND';

  constructor(
    /** The error code of Redis' reply: `OOM`, `READONLY`, `NOPERM`, `WRONGTYPE`, … */
    readonly reply: string,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  static {
    brand(this, 'CacheCommandError');
  }
}

/**
 * As many records have the tag as `limit` of the call allows. Nothing was written.
 *
 * @example
 * ```ts
 * if (error instanceof CacheLimitError) throw new ConflictException(`No more than ${error.limit} devices`);
 * ```
 */
export class CacheLimitError extends RedisCacheError {
  readonly code = 'CACHE_LIMIT';

  constructor(
    /** How many records may have the tag. */
    readonly limit: number,
  ) {
    super(`${limit} records have the tag, which is the limit`);
  }

  static {
    brand(this, 'CacheLimitError');
  }
}

/**
 * The bytes under a key are no record of this store: they are foreign, truncated or altered, or the schema refuses them. No value is given.
 *
 * @example
 * ```ts
 * if (error instanceof CacheCorruptError) throw new UnauthorizedException();
 * ```
 */
export class CacheCorruptError extends RedisCacheError {
  readonly code = 'CACHE_CORRUPT';
  readonly #key: string | undefined;

  constructor(message: string, options?: { cause?: unknown; key?: string | undefined }) {
    super(message, options);
    this.#key = options?.key;
  }

  /**
   * The key of the record, as the caller gave it or as the walk gives keys; a walk over hashed keys gives the hash, since only the
   * record could tell the key. It may be a session id: no property of the error, so that neither `inspect` nor JSON nor a log shows it.
   */
  get key(): string | undefined {
    return this.#key;
  }

  static {
    brand(this, 'CacheCorruptError');
  }
}
