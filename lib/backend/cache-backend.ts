import type { CounterBackend } from './counters.js';

/** When a record expires: so many ms from now, at a moment of Redis' clock (ms since the epoch), or never. */
export type Expiry = { readonly in: number } | { readonly at: number } | 'never';

/**
 * When a record expires whose bytes are replaced: a new expiry, or the one it has, provided that comes at `keepUpTo` at the
 * latest, a moment of Redis' clock (Infinity: whenever it comes).
 */
export type NextExpiry = Expiry | { readonly keepUpTo: number };

/** What to do with a record whose bytes are still the expected ones. */
export type Change =
  | { readonly set: Buffer; readonly expiry: NextExpiry }
  /** `ifLeft`: only if the record has at most so many ms left, so that nobody has extended it since it had as many. */
  | { readonly expire: Expiry; readonly ifLeft?: number }
  | 'delete';

/**
 * The port: what the store needs of a place that keeps bytes. It knows nothing of values, records or namespaces.
 *
 * Rules for every method and every implementation (one contract suite runs over all of them):
 * - It settles by `deadline`, a moment of `performance.now()`. Walks settle every step within the connection's timeout.
 * - It rejects with `CacheUnavailableError` or `CacheCommandError` and nothing else. Absence is never an error.
 * - A key of another Redis type than expected is `CacheCommandError` with reply `WRONGTYPE`, never "absent";
 *   `has`, `ttl`, `delete` and `scan` look at no type.
 * - Writes have happened when the promise resolves, and are sent at most once.
 * - An expired record is absent, from the millisecond of its expiry on.
 */
export interface CacheBackend extends CounterBackend {
  /** The bytes, or `undefined` if the key is absent. */
  get(key: string, deadline: number): Promise<Buffer | undefined>;

  /** As `get`, with the ms left to live (`null`: for ever), in one round trip. */
  getWithTtl(key: string, deadline: number): Promise<{ bytes: Buffer; ttl: number | null } | undefined>;

  /** Overwrites whatever is there, of any type, and its expiry. */
  set(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<unknown>;

  /** Writes only if nothing of any type is there; of concurrent callers exactly one gets `true`. */
  setIfAbsent(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<boolean>;

  /**
   * Does `change` if the bytes are exactly `expected`, in one atomic step; `false` if they are others, or absent, or live on
   * beyond `keepUpTo` or `ifLeft`.
   */
  compareAndSet(key: string, expected: Buffer, change: Change, deadline: number): Promise<boolean>;

  /** Reads and deletes in one atomic step; of concurrent callers at most one gets the bytes. */
  take(key: string, deadline: number): Promise<Buffer | undefined>;

  has(key: string, deadline: number): Promise<boolean>;

  /** The ms left to live; `null`: for ever; `undefined`: absent. */
  ttl(key: string, deadline: number): Promise<number | null | undefined>;

  /** Deletes each key; the number of those that were there. Not one atomic step. */
  delete(keys: readonly string[], deadline: number): Promise<number>;

  /**
   * All keys that begin with one of `prefixes` (taken literally) during the whole walk, each once, in batches, in no order;
   * keys that come or go meanwhile may be in it or not. Keys that are no valid UTF-8 are nobody's here and left out.
   * One walk; the prefixes have one length and differ in ASCII characters only.
   */
  scan(...prefixes: readonly string[]): AsyncIterable<readonly string[]>;

  /**
   * Adds `member` to the index, for `ttl` ms from now (`null`: for ever), and returns its score: the moment of Redis' clock
   * until which it is promised to stay. A member's score never sinks; that of one that stays for ever tells when it was
   * last added, with whatever ttl. The index lives as long as its last member, and members whose moment has passed are
   * trimmed (on a Cluster some seconds later, since the clocks of nodes differ).
   */
  addToIndex(index: string, member: string, ttl: number | null, deadline: number): Promise<number>;

  /** All members whose moment has not passed, each once, in batches, as `scan` does. */
  indexMembers(index: string): AsyncIterable<readonly IndexMember[]>;

  /** Removes members that still have the given score. */
  removeFromIndex(index: string, members: readonly IndexMember[], deadline: number): Promise<void>;

  /**
   * Calls `onInvalid` with each key beginning with `prefix` that anybody changes or that expires or is evicted, and with
   * `undefined` when all must be taken as changed. What is written through this backend is told before it is sent, and
   * again before its promise settles. `undefined` where there is nothing to be gained by local copies.
   */
  watch(prefix: string, lease: number, onInvalid: (key: string | undefined) => void): Invalidations | undefined;
}

/** Whether invalidations can be relied on. */
export interface Invalidations {
  /**
   * All invalidations up to this moment of `performance.now()` have been delivered; `-Infinity` without a live feed.
   * Renewed four times within the lease.
   */
  readonly provenAt: number;
}

/** A member of a tag index. */
export interface IndexMember {
  readonly member: string;
  /** The moment (ms) at which it may go; from {@link NEVER} on: the moment of its writing + `NEVER`. */
  readonly score: number;
}

/**
 * Scores from here on belong to members that never expire, and tell when they were written. 2^52 ms is some 140,000 years
 * away, and the sum with today still an exact integer in the double that Redis keeps.
 */
export const NEVER = 2 ** 52;
