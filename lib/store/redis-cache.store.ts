import { performance } from 'node:perf_hooks';
import type { CacheBackend } from '../backend/cache-backend.js';
import type { Duration } from '../redis-cache.duration.js';
import type {
  CacheCounter,
  CacheHit,
  DeleteByTagOptions,
  GetOptions,
  IncrementOptions,
  PutOptions,
  Replacement,
  ScanOptions,
} from '../redis-cache.options.js';
import type { StoreSettings } from './store-settings.js';
import { RecordCipher } from '../record/cipher.js';
import { assertFunction, assertIterable, assertOptions } from './arguments.js';
import { Counters } from './counters.js';
import { touchTtl } from './expiry.js';
import { Keyspace } from './keyspace.js';
import { openNearCache } from './near-cache.js';
import { RecordCodec } from '../record/codec.js';
import { Reads } from './reads.js';
import { Removal } from './removal.js';
import { Rewrites } from './rewrite.js';
import { SingleFlight } from './single-flight.js';
import { TagIndex } from './tag-index.js';
import { Walks } from './walks.js';
import { Writes } from './writes.js';

/**
 * Typed records under keys, in one namespace. The class is the injection token of the default store.
 *
 * - A write has happened when its promise resolves. `undefined` means one thing only: there is no such record.
 * - Every call settles within `timeout` (walks: every step of them). What it rejects with says what to do:
 *   CacheArgumentError (the caller's bug; nothing was sent), CacheUnavailableError (answer 503), CacheCommandError
 *   (Redis refused), CacheCorruptError (no record of this store).
 * - Returned values are the caller's own. Keys: any well-formed, non-empty string of at most 512 bytes.
 *
 * @typeParam Output - what reading gives: follows from the schema of the store, see {@link CacheStoreOf}
 * @typeParam Input - what writing takes
 * @example
 * ```ts
 * constructor(private readonly sessions: RedisCacheStore) {}
 *
 * await this.sessions.put(id, { userId: 42 }, { tags: ['user:42'] });
 * const session = await this.sessions.get<Session>(id); // undefined: not logged in
 * ```
 */
export class RedisCacheStore<Output = unknown, Input = Output> {
  /** What every key of this store begins with in Redis, before a `:`. */
  readonly namespace: string;
  readonly #keyspace: Keyspace;
  readonly #backend: CacheBackend;
  readonly #writes: Writes;
  readonly #rewrites: Rewrites;
  readonly #reads: Reads;
  readonly #removal: Removal;
  readonly #walks: Walks;
  readonly #counters: Counters;
  readonly #loads: SingleFlight;
  readonly #deadline: () => number;

  /** @internal */
  constructor(settings: StoreSettings, backend: CacheBackend) {
    const { namespace, keyRing, hashKeys, timeout } = settings;
    const cipher = keyRing && new RecordCipher(keyRing, namespace);
    const keyspace = new Keyspace(namespace, hashKeys ? cipher : undefined);
    const codec = new RecordCodec(settings, keyspace, cipher);
    const tags = new TagIndex(keyspace, backend);
    this.namespace = namespace;
    this.#keyspace = keyspace;
    this.#backend = backend;
    this.#deadline = () => performance.now() + timeout;
    this.#writes = new Writes(settings, backend, keyspace, codec, tags);
    this.#rewrites = new Rewrites(settings, backend, keyspace, codec, tags, this.#writes);
    const near = openNearCache(settings, backend, keyspace);
    this.#reads = new Reads(settings, backend, keyspace, codec, this.#rewrites, near, this.#deadline);
    this.#removal = new Removal(backend, keyspace, tags, this.#deadline);
    this.#walks = new Walks(backend, keyspace, codec, tags, this.#deadline);
    this.#counters = new Counters(settings, backend, keyspace, this.#deadline);
    this.#loads = SingleFlight.on(backend);
  }

  /** Stores a value, whatever was there before. @example `await store.put(id, session, { ttl: '30m', tags: ['user:42'] })` */
  async put<T extends Input>(key: string, value: T, options?: PutOptions): Promise<void> {
    const draft = await this.#writes.draft(key, value, options);
    await this.#loads.around([this.#keyspace.recordKey(draft.id)], () => this.#writes.write(draft, this.#deadline()));
  }

  /**
   * Stores many records. All are checked before the first is sent; it is not one atomic step: when it rejects, some
   * may have been written (a CacheUnavailableError then says `unknown`).
   *
   * @example `await store.putMany([['a', 1], ['b', 2]], { ttl: '1h' })`
   */
  async putMany<T extends Input>(
    records: Iterable<readonly [key: string, value: T]>,
    options?: PutOptions,
  ): Promise<void> {
    assertIterable('records', records);
    const check = ([key, value]: readonly [string, T]) => this.#writes.draft(key, value, options);
    const drafts = await Promise.all(Array.from(records, check));
    const recordKeys = drafts.map(({ id }) => this.#keyspace.recordKey(id));
    await this.#loads.around(recordKeys, () => this.#writes.writeAll(drafts, this.#deadline));
  }

  /** Stores a value only if there is no record; of any number of callers one gets `true`. @example `if (!(await store.putIfAbsent(jti, true))) throw new ReplayError()` */
  async putIfAbsent<T extends Input>(key: string, value: T, options?: PutOptions): Promise<boolean> {
    const draft = await this.#writes.draft(key, value, options);
    const isWritten = await this.#writes.writeIfAbsent(draft, this.#deadline());
    this.#loads.leave(this.#keyspace.recordKey(draft.id));
    return isWritten;
  }

  /**
   * Stores a value only if there is a record, so that a deleted session never comes back; `false`: there was none.
   * The running ttl and the tags stay, unless `options` give others.
   *
   * @example `await store.replace(id, session)`
   */
  async replace<T extends Input>(key: string, value: T, options?: PutOptions): Promise<boolean> {
    const { id, bytes: record } = await this.#writes.draft(key, value, options); // says what is wrong even without a record
    const bytes = await this.#rewrites.rewrite(key, async () => ({ record }), options, this.#deadline());
    this.#loads.leave(this.#keyspace.recordKey(id));
    return bytes !== undefined;
  }

  /**
   * Changes a record by compare-and-set: no other caller's change is lost, ttl and tags stay. `change` runs again if
   * somebody was faster; what it throws comes through and nothing is written. The time it takes does not count.
   *
   * @returns the new value; `undefined` if there is no record
   * @example `await store.update<Session>(id, (session) => ({ ...session, visits: session.visits + 1 }))`
   */
  async update<T extends Output = Output>(
    key: string,
    change: (current: T) => Replacement<T, Input>,
  ): Promise<T | undefined> {
    assertFunction('change', change);
    const id = this.#keyspace.id(key);
    const next = async (bytes: Buffer) => {
      // A copy, since a serializer may give its bytes out as they are, and they are to be compared.
      const current = await this.#reads.decode(id, Buffer.from(bytes));
      if (!current) return undefined;
      const changed: unknown = change(current.value as T);
      return { value: await changed };
    };
    const bytes = await this.#rewrites.rewrite(key, next, undefined, this.#deadline());
    this.#loads.leave(this.#keyspace.recordKey(id));
    return bytes && this.#valueOf<T>(id, bytes);
  }

  /**
   * The value of a record. `touch` gives it its own ttl again, or once the one given, in a second step. In a `sliding` store
   * this happens by itself; if that second step fails, the value is returned all the same and the running ttl stays.
   *
   * @returns `undefined`: there is no such record, and nothing else
   * @example `const session = await store.get<Session>(id)`
   */
  get<T extends Output = Output>(key: string, options?: GetOptions): Promise<T | undefined> {
    const value = options === undefined ? this.#reads.value(key) : this.#reads.valueWith(key, options);
    return value as Promise<T | undefined>;
  }

  /** The values of many records, in the order of the keys. @example `const [a, b] = await store.getMany(['a', 'b'])` */
  async getMany<T extends Output = Output>(keys: readonly string[]): Promise<(T | undefined)[]> {
    assertIterable('keys', keys);
    const found = await this.#reads.many(Array.from(keys, (key) => this.#keyspace.id(key)));
    return found.map((record) => record?.value as T | undefined);
  }

  /**
   * The value of a record, or what `load` gives, which is then stored if nobody else stored one meanwhile.
   * Callers in this process that come while it is loading share one load; each gets a value of its own. An error of `load`
   * reaches all of them and is not remembered; `undefined` is not stored. An outage throws and loads nothing. How long `load` may take is yours to limit: all wait for it.
   *
   * @example `const user = await store.getOrPut(id, () => users.findOneOrFail(id), { ttl: '5m' })`
   */
  async getOrPut<T extends Input & Output>(key: string, load: () => T | Promise<T>, options?: PutOptions): Promise<T> {
    this.#writes.read(options); // says what is wrong with them
    assertFunction('load', load);
    const id = this.#keyspace.id(key);
    const bytes = await this.#loads.run(this.#keyspace.recordKey(id), async (isCurrent) => {
      const found = await this.#reads.read(key);
      if (found) return found.bytes;
      const value = await load();
      if (value === undefined) return undefined;
      const draft = await this.#writes.draft(key, value, options);
      const isWritten = await this.#writes.writeIfAbsent(draft, this.#deadline(), isCurrent);
      if (isWritten || !isCurrent()) return draft.bytes;
      return (await this.#reads.read(key))?.bytes ?? draft.bytes; // somebody else's, written meanwhile
    });
    // T says whether `undefined` is a possible result of `load`.
    return (bytes && (await this.#valueOf<T>(id, Buffer.from(bytes)))) as T;
  }

  /** Reads a record and deletes it in one atomic step: a one-time token is redeemed at most once. @example `const reset = await tokens.take<Reset>(token)` */
  async take<T extends Output = Output>(key: string): Promise<T | undefined> {
    const id = this.#keyspace.id(key);
    const bytes = await this.#loads.around([this.#keyspace.recordKey(id)], () => this.#removal.take(id));
    return bytes && this.#valueOf<T>(id, bytes);
  }

  /** Whether there is a record; its bytes are not looked at. @example `if (await denied.has(jti)) throw new UnauthorizedException()` */
  async has(key: string): Promise<boolean> {
    return this.#backend.has(this.#keyspace.locate(key), this.#deadline());
  }

  /** The ms a record has left; `null`: it never expires; `undefined`: there is none. @example `await store.ttl(id) // 1799998` */
  async ttl(key: string): Promise<number | null | undefined> {
    return this.#backend.ttl(this.#keyspace.locate(key), this.#deadline());
  }

  /** Lets a record live from now on for its own ttl again, or once for the `ttl` given; at most up to `maxAge`. `false`: there is none. @example `await store.touch(id, '1h')` */
  async touch(key: string, ttl?: Duration): Promise<boolean> {
    return this.#rewrites.extend(this.#keyspace.id(key), touchTtl(ttl), this.#deadline());
  }

  /** Deletes a record; `true`: it was there. @example `await sessions.delete(id) // logout` */
  async delete(key: string): Promise<boolean> {
    return (await this.deleteMany([key])) === 1;
  }

  /** Deletes records; the number of those that were there. Not one atomic step: as with `putMany`, some may be gone when it rejects. @example `await store.deleteMany(['a', 'b']) // 2` */
  async deleteMany(keys: Iterable<string>): Promise<number> {
    assertIterable('keys', keys);
    const ids = Array.from(new Set(keys), (key) => this.#keyspace.id(key));
    const recordKeys = ids.map((id) => this.#keyspace.recordKey(id));
    return this.#loads.around(recordKeys, () => this.#removal.records(ids));
  }

  /**
   * Counts a hit. Counters are a kind of their own: no record has their keys, and nothing but these three methods and
   * `clear` touches them. A hit is one atomic step by the clock of Redis, exact whoever else counts, in one round trip.
   *
   * @throws CacheCommandError if the count would leave the safe integers
   * @example `const { allowed, retryAfter } = await attempts.increment(ip, { ttl: '15m', limit: 10, block: { first: '1m', factor: 2, longest: '1h' } })`
   */
  async increment(key: string, options?: IncrementOptions): Promise<CacheHit> {
    return this.#counters.increment(key, options);
  }

  /** What a counter says; `undefined`: it has not begun, or is over. @example `const hits = (await attempts.counter(ip))?.count ?? 0` */
  async counter(key: string): Promise<CacheCounter | undefined> {
    return this.#counters.read(key);
  }

  /** Lets a counter begin anew and forget its blocks; `true`: there was something to forget. @example `await attempts.resetCounter(ip) // after a login` */
  async resetCounter(key: string): Promise<boolean> {
    return this.#counters.reset(key);
  }

  /** All keys, without the namespace, sorted, each once. For many, see `scan`. @example `await store.keys({ tag: 'user:42' })` */
  async keys(options?: ScanOptions): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of this.scan(options)) keys.push(key);
    return keys.toSorted();
  }

  /** As `keys`, one after the other as Redis gives them, without ever blocking it. @example `for await (const key of store.scan({ prefix: 'web:' })) console.log(key)` */
  async *scan(options?: ScanOptions): AsyncIterable<string> {
    for await (const ids of this.#walks.ids(options)) yield* await this.#walks.keysOf(ids, options?.prefix);
  }

  /** Keys and values, as `scan` does; a record that goes meanwhile is left out. @example `for await (const [id, session] of store.entries<Session>()) …` */
  async *entries<T extends Output = Output>(options?: ScanOptions): AsyncIterable<[string, T]> {
    for await (const ids of this.#walks.ids(options)) {
      for (const found of await this.#reads.many(ids)) {
        if (found?.key.startsWith(options?.prefix ?? '')) yield [found.key, found.value as T];
      }
    }
  }

  /**
   * Deletes every record that has the tag: "sign out everywhere". None that was acknowledged before the call is
   * readable after it, however it was extended or rewritten. `thorough`: looks at every record of the namespace, too, so that
   * this holds although Redis evicted an index or lost a shard. The number of records deleted.
   *
   * @throws CacheCorruptError, once all others are deleted, if there is something that cannot be parsed
   * @example `await sessions.deleteByTag('user:42')`
   */
  async deleteByTag(tag: string, options?: DeleteByTagOptions): Promise<number> {
    const tagId = this.#keyspace.tagId(tag);
    assertOptions(options, ['thorough']);
    return this.#aroundAll(() => this.#removal.tagged(tagId, options?.thorough));
  }

  /** Deletes every record and counter of this namespace, and nothing else; the number of records. @example `await store.clear()` */
  async clear(): Promise<number> {
    return this.#aroundAll(() => this.#removal.everything());
  }

  #aroundAll(removal: () => Promise<number>): Promise<number> {
    return this.#reads.withoutCopies(() => this.#loads.aroundAll(this.#keyspace.prefix, removal));
  }

  async #valueOf<T>(id: string, bytes: Buffer): Promise<T | undefined> {
    return (await this.#reads.decode(id, bytes))?.value as T | undefined;
  }
}
