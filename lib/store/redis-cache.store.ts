import type { Observable } from 'rxjs';
import type { Duration } from '../redis-cache.duration.js';
import type {
  CacheCounter,
  CacheHit,
  CacheRecord,
  DeleteByTagOptions,
  GetOptions,
  IncrementOptions,
  MoveOptions,
  PutOptions,
  Replacement,
  ScanOptions,
  WalkOptions,
} from '../redis-cache.options.js';
import { assertIterable } from '../redis-cache.arguments.js';
import { tracesCallers } from './caller-stack.js';
import { touchTtl } from './expiry.js';
import { Operations } from './operations.js';
import type { StoreSettings } from './store-settings.js';
import { tellsCalls } from './told-calls.js';
import type { RecordChange } from './watches.js';

/**
 * Typed records under keys, in one namespace. The class is the injection token of the default store.
 *
 * - A write has happened when its promise resolves. `undefined` means one thing only: there is no such record.
 * - Every call settles within `timeout` (walks, and calls that write or delete many: every step of them). What it rejects with says what to do:
 *   CacheArgumentError (the caller's bug; nothing was sent), CacheUnavailableError (answer 503), CacheCommandError
 *   (Redis refused), CacheCorruptError (no record of this store).
 * - Returned values are the caller's own. Keys: any well-formed, non-empty string of at most 512 bytes.
 *
 * @typeParam Output - what reading gives: follows from the schema of the store, see {@link CacheStoreOf}
 * @typeParam Input - what writing takes
 * @example
 * ```ts
 * constructor(private readonly sessions: RedisCacheStore) {}
 * await this.sessions.put(id, { userId: 42 }, { tags: ['user:42'] });
 * const session = await this.sessions.get<Session>(id); // undefined: not logged in
 * ```
 */
@tellsCalls
@tracesCallers
export class RedisCacheStore<Output = unknown, Input = Output> {
  /** The beginning of every key of this store in Redis, before a `:`. */
  readonly namespace: string;
  /** @internal */ readonly source: StoreSettings['source'];
  readonly #of: Operations;
  /** @internal For the adapters of this package. */
  static readonly operationsOf = (store: RedisCacheStore): Operations => store.#of;

  /** The module makes stores; an application injects them. */
  constructor(operations: Operations) {
    ({ namespace: this.namespace, source: this.source } = operations.settings);
    this.#of = operations;
  }

  /** Stores a value, whatever was there before. @example `await store.put(id, session, { ttl: '30m', tags: ['user:42'] })` */
  async put<T extends Input>(key: string, value: T, options?: PutOptions): Promise<void> {
    const draft = await this.#of.writes.draft(key, value, this.#of.writes.read(options));
    await this.#of.flights.around([this.#locate(key)], () => this.#of.writes.write(draft, this.#of.deadline()));
  }

  /**
   * Stores many records. All are checked before the first is sent; it is not one atomic step: when it rejects, some
   * may have been written (a CacheUnavailableError then says `unknown`). An option of a record goes before that of the call.
   * @example `await store.putMany([['a', 1], ['b', 2, { tags: ['user:42'] }]], { ttl: '1h' })`
   */
  async putMany<T extends Input>(
    records: Iterable<readonly [key: string, value: T, options?: PutOptions]>,
    options?: PutOptions,
  ): Promise<void> {
    assertIterable('records', records);
    const drafts = await this.#of.writes.drafts([...records], options);
    const recordKeys = drafts.map(({ id }) => this.#of.naming.recordKey(id));
    await this.#of.flights.around(recordKeys, () => this.#of.writes.writeAll(drafts, this.#of.deadline));
  }

  /** Stores a value only if there is no record; of any number of callers one gets `true`. @example `if (!(await store.putIfAbsent(jti, true))) throw new ReplayError()` */
  async putIfAbsent<T extends Input>(key: string, value: T, options?: PutOptions): Promise<boolean> {
    const draft = await this.#of.writes.draft(key, value, this.#of.writes.read(options));
    const isWritten = await this.#of.writes.writeIfAbsent(draft, this.#of.deadline());
    this.#of.flights.leave(this.#locate(key));
    return isWritten;
  }

  /**
   * Stores a value only if there is a record, so that a deleted session never comes back; `false`: there was none.
   * The running ttl and the tags stay, unless `options` give others.
   * @example `await store.replace(id, session)`
   */
  async replace<T extends Input>(key: string, value: T, options?: PutOptions): Promise<boolean> {
    const isReplaced = await this.#of.changes.replace(key, value, options);
    this.#of.flights.leave(this.#locate(key));
    return isReplaced;
  }

  /**
   * Changes a record by compare-and-set: no other caller's change is lost, and ttl and tags stay, unless `options` give others
   * in the same step. Updates of one key take turns in a process; `change` runs again if another process was faster. What
   * it throws comes through, and nothing is written. The time that `change` takes does not count; waiting for a turn does.
   * @returns the new value; `undefined` if there is no record
   * @throws CacheArgumentError if `change` updates the same key, which would wait for itself
   * @example `await store.update<Session>(id, (session) => ({ ...session, visits: session.visits + 1 }))`
   */
  async update<T extends Output = Output>(
    key: string,
    change: (current: T) => Replacement<T, Input>,
    options?: PutOptions,
  ): Promise<T | undefined> {
    const bytes = await this.#of.changes.update(key, change as (current: unknown) => unknown, options);
    this.#of.flights.leave(this.#locate(key));
    return this.#valueOf<T>(key, bytes);
  }

  /**
   * Gives a record another key, such as a new session id at login; value, tags, ttl left and age stay, unless `options` say
   * otherwise. Of many callers one wins. A `deleteByTag` meanwhile wins, too, and reaches both keys. A process that dies
   * amid this leaves no record that outlives 2 × `timeout`; at worst its user signs in again. Until this resolves, nobody should know `to`.
   * @returns the value under the new key; `undefined`: there is no record, or somebody else moved it
   * @throws CacheArgumentError if there is a record under `to`
   * @example `await sessions.move(oldId, newId, { change: (session) => ({ ...session, userId }), grace: '10s' })`
   */
  async move<T extends Output = Output>(
    from: string,
    to: string,
    options?: MoveOptions<T, Input>,
  ): Promise<T | undefined> {
    const move = () => this.#of.moves.move(from, to, options as MoveOptions<unknown, unknown>);
    return this.#valueOf<T>(to, await this.#of.flights.around([from, to].map(this.#locate), move));
  }

  /**
   * The value of a record. `touch` gives it its own ttl again (or once the one given), in a second step. In a `sliding` store this
   * happens by itself; if that second step fails, the value is returned all the same and the record keeps its running ttl.
   * @returns `undefined`: there is no such record, and nothing else
   * @example `const session = await store.get<Session>(id)`
   */
  get<T extends Output = Output>(key: string, options?: GetOptions): Promise<T | undefined> {
    return this.#of.reads.get(key, options) as Promise<T | undefined>;
  }

  /** The values of many records, in the order of the keys. @example `const [a, b] = await store.getMany(['a', 'b'])` */
  async getMany<T extends Output = Output>(keys: readonly string[]): Promise<(T | undefined)[]> {
    assertIterable('keys', keys);
    return (await this.#of.reads.values([...keys])) as (T | undefined)[];
  }

  /**
   * The value of a record, or what `load` gives, which is then stored if nobody else stored one meanwhile.
   * Callers in this process that come while it is loading share one load; each gets a value of its own. An error of `load`
   * reaches all of them and is not remembered; `undefined` is not stored. An outage throws and loads nothing. How long `load` may take is yours to limit: all wait for it. A `load` that waits for itself rejects with CacheArgumentError.
   *
   * @example `const user = await store.getOrPut(id, () => users.findOneOrFail(id), { ttl: '5m' })`
   */
  async getOrPut<T extends Input & Output>(key: string, load: () => T | Promise<T>, options?: PutOptions): Promise<T> {
    return (await this.#of.loads.getOrPut(key, load, options)) as T;
  }

  /** Reads a record and deletes it; of many callers one gets it: a one-time token is redeemed at most once. An encrypted record that cannot be opened stays. @example `const reset = await tokens.take<Reset>(token)` */
  async take<T extends Output = Output>(key: string): Promise<T | undefined> {
    const take = () => this.#of.removal.take(this.#of.naming.id(key));
    return this.#valueOf<T>(key, await this.#of.flights.around([this.#locate(key)], take));
  }

  /** A record with its ttl, its age and its tags (with `hashKeys` the hashes of its tags); `undefined`: there is none. A `sliding` store does not extend it. @example `const { createdAt } = await store.inspect(id) ?? {}` */
  async inspect<T extends Output = Output>(key: string): Promise<CacheRecord<T> | undefined> {
    return (await this.#of.walks.record(key)) as CacheRecord<T> | undefined;
  }

  /** Whether there is a record; its bytes are not looked at. @example `if (await denied.has(jti)) throw new UnauthorizedException()` */
  async has(key: string): Promise<boolean> {
    return this.#of.reads.has(key);
  }

  /** The ms a record has left; `null`: it never expires; `undefined`: there is none. @example `await store.ttl(id) // 1799998` */
  async ttl(key: string): Promise<number | null | undefined> {
    return this.#of.reads.ttl(key);
  }

  /**
   * Tells of changes of a record and of its end (also if there is none to begin with), until the application closes. Changes in
   * quick succession may be told as one; none is missed for longer than the `lease` of the near cache, without which this is a CacheConfigError.
   * @example `sessions.watch(id).subscribe((change) => change === 'gone' && socket.close())`
   */
  watch(key: string): Observable<RecordChange> {
    return this.#of.watches.watch(this.#of.naming, key);
  }

  /** Lets a record live from now on for its own ttl again, or once for the `ttl` given; at most up to `maxAge`. `false`: there is none. @example `await store.touch(id, '1h')` */
  async touch(key: string, ttl?: Duration): Promise<boolean> {
    return this.#of.rewrites.extend(this.#of.naming.id(key), touchTtl(ttl), this.#of.deadline());
  }

  /** Deletes a record; `true`: it was there. @example `await sessions.delete(id) // logout` */
  async delete(key: string): Promise<boolean> {
    return (await this.#of.deleteRecords([key])) === 1;
  }

  /**
   * Deletes a record if `test` says so of its value, and only with that value: `test` decides again about what was written
   * meanwhile. The time it takes does not count. `true`: the record was deleted.
   *
   * @example `await locks.deleteIf<Lock>(name, ({ owner }) => owner === me)`
   */
  async deleteIf<T extends Output = Output>(
    key: string,
    test: (value: T) => boolean | Promise<boolean>,
  ): Promise<boolean> {
    const isDeleted = () => this.#of.changes.deleteIf(key, test as (value: unknown) => boolean);
    return this.#of.flights.around([this.#locate(key)], isDeleted);
  }

  /** Deletes records; the number of those that were there. Not one atomic step: as with `putMany`, some may be gone when it rejects. @example `await store.deleteMany(['a', 'b']) // 2` */
  async deleteMany(keys: Iterable<string>): Promise<number> {
    assertIterable('keys', keys);
    return this.#of.deleteRecords([...new Set(keys)]);
  }

  /**
   * Counts a hit. Counters are a kind of their own, which only these three methods and `clear` touch. A hit is one atomic
   * step by the clock of Redis, exact whoever else counts, in one round trip.
   * @example `const { allowed, retryAfter } = await attempts.increment(ip, { ttl: '15m', limit: 10, block: { first: '1m', factor: 2, longest: '1h' } })`
   */
  async increment(key: string, options?: IncrementOptions): Promise<CacheHit> {
    return this.#of.counters.increment(key, options);
  }

  /** What a counter says; `undefined`: it has not begun, or is over. @example `const hits = (await attempts.counter(ip))?.count ?? 0` */
  async counter(key: string): Promise<CacheCounter | undefined> {
    return this.#of.counters.read(key);
  }

  /** Lets a counter begin anew and forget its blocks; `true`: there was something to forget. @example `await attempts.resetCounter(ip) // after a login` */
  async resetCounter(key: string): Promise<boolean> {
    return this.#of.counters.reset(key);
  }

  /** All keys, without the namespace, sorted, each once. For many, see `scan`. @example `await store.keys({ tag: 'user:42' })` */
  async keys(options?: ScanOptions): Promise<string[]> {
    return [...(await this.#of.walks.all(options))].toSorted();
  }

  /** As `keys`, one after the other as Redis gives them, without ever blocking it. @example `for await (const key of store.scan({ prefix: 'web:' })) console.log(key)` */
  async *scan(options?: ScanOptions): AsyncIterable<string> {
    for await (const keys of this.#of.walks.keys(options)) yield* keys;
  }

  /** Keys and values, as `scan` does; a record that goes meanwhile is left out. @example `for await (const [id, session] of store.entries<Session>()) …` */
  async *entries<T extends Output = Output>(options?: WalkOptions): AsyncIterable<[string, T]> {
    for await (const { key, value } of this.#of.walks.values(options)) yield [key, value as T];
  }

  /** As `entries`, with what `inspect` tells. @example `for await (const { key, createdAt } of store.records({ tag: 'user:42' })) …` */
  async *records<T extends Output = Output>(options?: WalkOptions): AsyncIterable<CacheRecord<T>> {
    for await (const record of this.#of.walks.records(options)) yield record as CacheRecord<T>;
  }

  /** The number of keys that `scan` gives. @example `await sessions.count({ tag: 'user:42' }) // 3` */
  async count(options?: ScanOptions): Promise<number> {
    return this.#of.walks.count(options);
  }

  /**
   * Deletes every record that has the tag: "sign out everywhere". None that was acknowledged before the call is readable after it, however it was
   * extended, rewritten or moved, but for at most 2 × `timeout` under the new key of a `move` that has not resolved; on a Cluster, while the clocks
   * of its nodes differ by at most 10 s. `thorough`: looks at every record of the namespace, too, so that this holds although Redis evicted an
   * index or lost a shard. The number of records deleted.
   * @throws CacheCorruptError, once all others are deleted, if there is something that cannot be parsed
   * @example `await sessions.deleteByTag('user:42')`
   */
  async deleteByTag(tag: string, options?: DeleteByTagOptions): Promise<number> {
    return this.#of.aroundAll(() => this.#of.removal.tagged(tag, options));
  }

  /**
   * Deletes every record and counter of this namespace, and nothing else; with `tag` the records that have it; with `prefix` the records
   * and, except where keys are hashed, the counters whose keys begin with it. What is put or moved meanwhile may stay. The number of records.
   * @example `await store.clear()`
   */
  async clear(options?: ScanOptions): Promise<number> {
    return this.#of.aroundAll(() => this.#of.removal.clear(options));
  }

  /**
   * A store within this one, for a tenant or a module: its keys, tags and counters lie below `<name>:` (1 to 64 of
   * `A-Z a-z 0-9 . _ -`), with the same connection, options and near cache. This store sees and clears them, as records whose keys begin
   * with `<name>:`; where keys are hashed it lists and clears them, but cannot `get` them. It costs nothing to make.
   * @example `const sessions = store.scope(tenantId)`
   */
  scope(name: string): RedisCacheStore<Output, Input> {
    return new RedisCacheStore<Output, Input>(this.#of.scope(name));
  }

  readonly #locate = (key: string): string => this.#of.naming.locate(key);

  async #valueOf<T>(key: string, bytes: Buffer | undefined): Promise<T | undefined> {
    return bytes && ((await this.#of.reads.decode(this.#of.naming.id(key), bytes))?.value as T | undefined);
  }
}
