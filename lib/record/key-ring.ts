import { CacheConfigError } from '../redis-cache.errors.js';
import type { EncryptionKey, EncryptionOptions } from '../redis-cache.options.js';
import { delay, now } from '../redis-cache.timers.js';
import type { Aead } from './aead.js';
import { loadAead } from './sodium.js';

const KEY_BYTES = 32;
const OPTIONS: readonly string[] = ['keys', 'hashKey', 'acceptPlain'] satisfies (keyof EncryptionOptions)[];

/** Keys given by a function are asked for again after so long, also if the last question has no answer. In ms. */
const REFRESH_AFTER = 60_000;
/** A record sealed with an unknown key asks for them at once, but not more often than this, in ms. */
const REFRESH_PAUSE = 1000;

/** The `encryption` option. */
export type EncryptionSource = EncryptionOptions | (() => EncryptionOptions | Promise<EncryptionOptions>);

/** The master keys of a store, as they are now. Nothing shows them: private names are invisible to `inspect` and JSON. */
export class KeyRing {
  #keys: readonly Buffer[];
  #acceptsPlain: boolean;
  /** Whether the hash of keys stays the same whatever becomes of the other keys, or there is but one key. */
  readonly isHashKeyClear: boolean;
  readonly #hashKey: Buffer;
  readonly #source: EncryptionSource;
  readonly #warn: (message: string) => void;
  #readAt = now();
  #askedAt = now();
  #refreshing: Promise<void> | undefined;
  #hasFailed = false;

  private constructor(
    /** What seals with the keys. */
    readonly aead: Aead,
    source: EncryptionSource,
    options: EncryptionOptions,
    warn: (message: string) => void,
  ) {
    this.#source = source;
    this.#warn = warn;
    this.#keys = parseKeys(options);
    this.#acceptsPlain = options.acceptPlain ?? false;
    this.isHashKeyClear = options.hashKey !== undefined || this.#keys.length === 1;
    this.#hashKey = options.hashKey === undefined ? this.oldest : parseKey('encryption.hashKey', options.hashKey);
  }

  /** @throws CacheConfigError for a key that is not 32 bytes; what the function throws */
  static async open(source: EncryptionSource, warn: (message: string) => void): Promise<KeyRing> {
    const options = typeof source === 'function' ? await source() : source;
    return new KeyRing(await loadAead(), source, options, warn);
  }

  /** The first is the one for new records. */
  get keys(): readonly Buffer[] {
    return this.#keys;
  }

  get hashKey(): Buffer {
    return this.#hashKey;
  }

  /** Whether records that are not sealed are read, too. */
  get acceptsPlain(): boolean {
    return this.#acceptsPlain;
  }

  /** Whether it is time to ask the function again. */
  get isStale(): boolean {
    return typeof this.#source === 'function' && now() - this.#readAt > REFRESH_AFTER;
  }

  /** Whether there may be keys that are not known here: the function that gives them has failed, or has not answered. */
  get isIncomplete(): boolean {
    return this.#hasFailed || this.#refreshing !== undefined;
  }

  /** Asks the function again, if there is one, at most once a second; resolves after `patience` ms at the latest. */
  async refresh(patience: number): Promise<void> {
    const source = this.#source;
    if (typeof source !== 'function') return;
    if (!this.#refreshing && now() - this.#readAt < REFRESH_PAUSE) return;
    if (!this.#refreshing || now() - this.#askedAt > REFRESH_AFTER) {
      this.#askedAt = now();
      this.#refreshing = this.#ask(source);
    }
    const answered = new AbortController();
    await Promise.race([this.#refreshing, delay(patience, answered.signal)]);
    answered.abort();
  }

  /** If that fails, the operator is told, and the keys at hand go on being good. */
  async #ask(source: () => EncryptionOptions | Promise<EncryptionOptions>): Promise<void> {
    try {
      const options = await source();
      this.#keys = parseKeys(options);
      this.#acceptsPlain = options.acceptPlain ?? false;
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      // What somebody else's code says may quote a key.
      const problem =
        error instanceof CacheConfigError ? error.message : error instanceof Error ? error.name : 'failed';
      this.#warn(`"encryption" gave no new keys (${problem}); the ones at hand stay`);
    } finally {
      this.#readAt = now();
      this.#refreshing = undefined;
    }
  }

  private get oldest(): Buffer {
    return this.#keys.at(-1) ?? Buffer.alloc(0); // parseKeys gives at least one
  }
}

function parseKeys(options: EncryptionOptions | undefined | null): readonly Buffer[] {
  const keys = options?.keys; // a function of the user's may give anything
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new CacheConfigError('encryption.keys', 'must be an array with the key for new records, then older ones');
  }
  // A mistyped `hashKey` would only tell once the oldest key is dropped.
  if (Object.keys(options ?? {}).some((name) => !OPTIONS.includes(name))) {
    throw new CacheConfigError('encryption', 'may have "keys", "hashKey" and "acceptPlain", and nothing else');
  }
  if (options?.acceptPlain !== undefined && typeof options.acceptPlain !== 'boolean') {
    throw new CacheConfigError('encryption.acceptPlain', 'must be true or false');
  }
  return distinct(keys.map((key, i) => parseKey(`encryption.keys[${i}]`, key)));
}

/** A key that is given twice, such as by two variables that say the same before a rotation, counts once. */
export function distinct(keys: readonly Buffer[]): readonly Buffer[] {
  return keys.filter((key, i) => keys.findIndex((other) => other.equals(key)) === i);
}

export function parseKey(option: string, key: EncryptionKey): Buffer {
  const bytes = typeof key === 'string' ? parseText(key) : key instanceof Uint8Array ? Buffer.from(key) : undefined;
  if (bytes?.length === KEY_BYTES) return bytes;
  const problem = 'must be 32 random bytes, as a Buffer or in base64 or hex; make one with: openssl rand -base64 32';
  throw new CacheConfigError(option, problem);
}

function parseText(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}
