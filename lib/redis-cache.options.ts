import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Duration } from './redis-cache.duration.js';
import type { IoredisClient, RedisConnectionOptions, RedisLogin } from './redis-connection.options.js';

/**
 * Turns values into bytes and back. `deserialize(serialize(value))` must equal `value`; both may throw.
 *
 * @example
 * ```ts
 * const text: Serializer = { serialize: (value) => Buffer.from(String(value)), deserialize: (bytes) => Buffer.from(bytes).toString() };
 * ```
 */
export interface Serializer {
  serialize(value: unknown): Uint8Array;
  deserialize(bytes: Uint8Array): unknown;
}

/** How a store treats its records; `forRoot` takes these for the default store, `forFeature` for each of its own. */
export interface CacheStoreBehavior<Schema extends StandardSchemaV1 = StandardSchemaV1> {
  /** How long a record lives if the writing call does not say. `null`: it never expires. Absent: the same, with a warning at boot. */
  ttl?: Duration | null;
  /** Default: MessagePack ({@link messagePackSerializer}), or what `forRoot` says. */
  serializer?: Serializer;
  /**
   * A Standard Schema (zod, valibot, arktype, …) that values are checked with on writing and on reading. What is stored is what was
   * put: defaults, transforms and the removal of unknown properties happen on reading, each time.
   */
  schema?: Schema;
  /**
   * A record that is corrupt, sealed with an unknown key, or fails the schema: `throw` (default) a CacheCorruptError, or log a warning
   * and call it a `miss`, which also gives way to `putIfAbsent`, `getOrPut` and `move`. (`has`, `ttl`, `keys` and `count` still count it.)
   */
  onCorrupt?: 'throw' | 'miss';
  /** `true`: a successful `get` gives a record its full ttl again. Needs a `ttl`. */
  sliding?: boolean;
  /** The oldest a record may get, whatever extends it. Reads do not extend one from before the option was set, of which nobody knows the age. */
  maxAge?: Duration;
  /** Local copies of records, kept coherent by Redis itself; see {@link NearCacheOptions}. Default: off. */
  nearCache?: boolean | NearCacheOptions;
  /** Seals records with XChaCha20-Poly1305; see {@link EncryptionOptions}. Default: what `forRoot` says; `false`: not this store. */
  encryption?: false | EncryptionOptions | (() => EncryptionOptions | Promise<EncryptionOptions>);
  /** Hides keys and tags behind a keyed hash. Needs `encryption`. `keys`, `scan` and `entries` then read the records. Default: what `forRoot` says. */
  hashKeys?: boolean;
}

/**
 * A near cache answers `get`, `getMany`, `getOrPut` and `has` from this process. Own writes are seen at once, those of other processes as soon as Redis'
 * invalidation message arrives (on a local network well under 5 ms), and never later than the lease. Values
 * that are plain data are handed out deeply frozen, others as fresh copies, as in a store with a `schema` or a serializer of yours. Of SWAPDB, Redis tells nobody.
 */
export interface NearCacheOptions {
  /** The most records kept; beyond it the least recently used goes. From 1; default 10000. */
  maxEntries?: number;
  /**
   * About the most memory that the records kept may take, in bytes: of this store alone. Default: all stores of the process together
   * keep at most 64 MiB.
   */
  maxBytes?: number;
  /** The oldest an answer may be whatever breaks (feed cut, server frozen, failover), from 100 ms to 1 minute; default 2 s. */
  lease?: Duration;
}

/** 32 random bytes: a Buffer, or a string in base64 (also base64url) or hex. Make one with `openssl rand -base64 32`. */
export type EncryptionKey = string | Uint8Array;

/**
 * The keys that records are sealed with. Each store derives keys of its own from them. Given as a function, they are asked
 * for at boot, when a record turns out to be sealed with an unknown key (at most once a second), and every minute.
 *
 * @example
 * ```ts
 * RedisCacheModule.forRoot({ encryption: { keys: [config.getOrThrow('CACHE_KEY')] } });
 * ```
 */
export interface EncryptionOptions {
  /**
   * The first seals new records, all of them open records. To rotate without refusing a session: add the new key as the second on
   * every instance, then put it in front on every instance, then drop the old one when its last record has expired.
   */
  keys: readonly EncryptionKey[];
  /**
   * The key that `hashKeys` hashes with. It must never change: otherwise no record is found, deny-lists included. Default: the only one
   * of `keys`. Before a second key is added, give the first one here.
   */
  hashKey?: EncryptionKey;
  /**
   * `true`: records that are not encrypted are read, too, while new ones are sealed: for the time in which `encryption` is
   * introduced. Whoever can write to Redis can then forge records. Not with `hashKeys`. Default: `false`.
   */
  acceptPlain?: boolean;
}

/**
 * A store of `forFeature`.
 *
 * @example
 * ```ts
 * RedisCacheModule.forFeature({ namespace: 'reset-token', ttl: '2h' });
 * ```
 */
export interface CacheStoreOptions<
  Schema extends StandardSchemaV1 = StandardSchemaV1,
> extends CacheStoreBehavior<Schema> {
  /** Begins every key of the store: 1 to 64 of `A-Z a-z 0-9 . _ -`. */
  namespace: string;
  /** The name that `@InjectCacheStore()` asks for. Default: the namespace. */
  name?: string;
  /** The `name` in `forRoot` of the connection that this store uses. Default: the connection without a name. */
  connection?: string;
}

/**
 * The options of `forRoot`: the connection, and the default store.
 *
 * @example
 * ```ts
 * RedisCacheModule.forRoot({ url: 'redis://localhost:6379', namespace: 'session', ttl: '30m' });
 * ```
 */
export interface RedisCacheModuleOptions extends CacheStoreBehavior {
  /**
   * The name of a further connection, to another Redis server. Absent: this is the default connection. Its stores are
   * `@InjectCacheStore(name)` and those of `forFeature({ connection: name, … })`; it is `@InjectRedisConnection(name)` itself.
   */
  name?: string;
  /**
   * `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://`, `unix:///path`, `redis-sentinel://h1:26379,h2:26379/master-name`, `rediss-sentinel://`,
   * `redis-cluster://h1:7000,h2:7001`, `rediss-cluster://` or `memory:`. Default: `redis://localhost:6379`.
   */
  url?: string;
  /**
   * An ioredis client (Redis or Cluster, of version 5 or 6), instead of `url`: its options tell where and as whom to connect. The
   * module opens connections of its own, which count on the server beside the client's, and never touches it.
   */
  client?: IoredisClient;
  /** How to connect, on top of what the url says: a part of the options of ioredis, see {@link RedisConnectionOptions}. */
  redis?: RedisConnectionOptions;
  /**
   * Asked for user name and password at every attempt to connect, so that a rotated password is picked up, and again before a
   * login expires. What it gives comes before what `url` and `redis` say.
   */
  credentials?: () => RedisLogin | Promise<RedisLogin>;
  /** The namespace of the default store. Default: `cache`. */
  namespace?: string;
  /** The largest record of any store, in bytes, from 1 to 536870912 (512 MiB, Redis' own limit). Default: 8388608 (8 MiB). */
  maxBytes?: number;
  /** The whole of one call, in ms up to 10 minutes: waiting for the connection, sending, the reply. Default: 2 s. */
  timeout?: Duration;
  /** `wait` (default): the application starts once Redis is ready; `background`: it starts at once. */
  startup?: 'wait' | 'background';
  /** How long the first connection may take, up to 1 hour. Default: 10 s. */
  startupTimeout?: Duration;
  /**
   * How often each connection is asked for a sign of life (TIME), from 100 ms to 1 hour, so that one that died is noticed though
   * nobody calls. Default: 30 s.
   */
  heartbeat?: Duration;
}

/** Options of `get`. */
export interface GetOptions {
  /** `true`: the record lives for its own ttl again, from now on. A duration: for that long, this once. Default: `false`. */
  touch?: boolean | Duration;
}

/** Options of a writing call. */
export interface PutOptions {
  /** How long this record lives; `null`: for ever. Default: the store's `ttl`. */
  ttl?: Duration | null;
  /**
   * Instead of `ttl`: the moment at which this record expires, as a Date or in milliseconds since 1970, at most 100 years from
   * now. Neither a sliding read nor a `touch` without a ttl moves it. A moment that has passed is no error: the record is gone when the
   * call resolves.
   */
  expiresAt?: Date | number;
  /** Up to 64 labels that `deleteByTag` and `keys({ tag })` find the record by, e.g. `['user:42']`; each as long as a key may be. */
  tags?: readonly string[];
  /**
   * The record is written only if fewer than `records` others have `tag`: else the call rejects with CacheLimitError, and nothing is
   * left behind. Exact, however many callers there are at once, as long as all of them give the limit. Of the calls that make records; a
   * record that `put` overwrites counts as another one, and one that is just being moved as two. One that Redis evicted, one whose
   * write had an unknown outcome, and one that was deleted or moved while a connection was lost, may count for up to 2 × `timeout` + 10 s
   * after its write. Default: no limit.
   */
  limit?: TagLimit;
}

/** What `update` expects of its callback: without a schema, the type the caller names. */
export type Replacement<T, Input> = unknown extends Input ? T | Promise<T> : Input | Promise<Input>;

/** Options of `increment`. */
export interface IncrementOptions {
  /** A whole number to add, also below 0 where there is no `limit`; with one, from 1 to the limit. Default: 1. */
  by?: number;
  /** How long the counter lives, from its first hit on; later hits do not extend it. Default: the store's `ttl`. */
  ttl?: Duration;
  /** A hit that would make the count larger than this is refused: `allowed: false`, and not counted. From 1. */
  limit?: number;
  /** What a refused hit brings on, beyond the ttl of the counter; see {@link BlockOptions}. Needs a `limit`. */
  block?: BlockOptions;
}

/**
 * A refused hit blocks its counter: hits with a `limit` stay refused until the block ends, then the counter begins again at 0.
 * Hits within a block do not make it longer. What was blocked again and again is blocked longer each time.
 */
export interface BlockOptions {
  /** How long the first block lasts. */
  first: Duration;
  /** Each further block lasts so many times as long as the one before. From 1; default 1. */
  factor?: number;
  /**
   * The longest block, from `first` on; and for how long after the end of a block it is remembered that there was one.
   * Default: a day, or `first` if that is longer or the factor is 1.
   */
  longest?: Duration;
}

/** What a counter says. */
export interface CacheCounter {
  /** The sum of the hits that were allowed. */
  count: number;
  /** The ms until it begins again at 0; `null`: never. */
  ttl: number | null;
}

/** What a hit on a counter gives: the counter after it. */
export interface CacheHit extends CacheCounter {
  /** `false`: the hit was refused and is not in `count`. Always `true` without a `limit`. */
  allowed: boolean;
  /** The ms after which the counter has begun again; 0 if the hit was allowed, Infinity if the counter never ends. */
  retryAfter: number;
}

/** Options of `deleteByTag`. */
export interface DeleteByTagOptions {
  /**
   * `true`: looks at every record of the namespace, too, and finds those that an index does not name any more since Redis evicted
   * or lost it. It costs as much as there are keys in Redis. Default: `false`.
   */
  thorough?: boolean;
}

/** How many records may have a tag; see `limit`. */
export interface TagLimit {
  /** One of the tags of the record. */
  tag: string;
  /** From 1. */
  records: number;
}

/** Options of `move`. */
export interface MoveOptions<T, Input> {
  /** Gives the value in the new place. It should only compute: it runs again whenever the record was changed, by itself as well. Its time does not count. Default: the value stays. */
  change?: (current: T) => Replacement<T, Input>;
  /** How long the record lives from now on; `null`: for ever. Default: as long as it had left. */
  ttl?: Duration | null;
  /** The tags in the new place. Default: those it has. */
  tags?: readonly string[];
  /** As of `put`. A record that has the tag already is counted once; during a `grace` without `leave` the old key counts, too. */
  limit?: TagLimit;
  /** For so long the old key stays readable, e.g. for requests under way; nothing extends it. Default: it goes at once. */
  grace?: Duration;
  /**
   * Gives the value that the old key has for its `grace`, such as a note where the record is now; that one has no tags. Default: it
   * keeps value and tags.
   */
  leave?: (current: T) => Replacement<T, Input>;
}

/** What to walk over; without any, the whole namespace. */
export interface ScanOptions {
  /** Only keys that begin with this, taken literally. */
  prefix?: string;
  /** Only records with this tag; costs as much as there are such records. */
  tag?: string;
}

/** Options of walks that read records. */
export interface WalkOptions extends ScanOptions {
  /**
   * A value that is no record of this store, or cannot be read: `throw` a CacheCorruptError whose `key` names it (not
   * enumerable; where keys are hashed, the hash), or `skip` it. Default: `throw`, and `skip` with a warning in a store with
   * `onCorrupt: 'miss'`.
   */
  onCorrupt?: 'throw' | 'skip';
}

/** A record with all that is known of it. */
export interface CacheRecord<T = unknown> {
  key: string;
  value: T;
  /** The ms it has left; `null`: it never expires. */
  ttl: number | null;
  /** By the clock of Redis; `replace`, `update` and `move` keep it. */
  createdAt: Date;
  /** Its tags; in a store with `hashKeys`, which does not know them any more, their hashes. */
  tags: readonly string[];
}
