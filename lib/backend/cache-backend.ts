import type { LocalCopies } from '../connection/invalidation-feed.js';
import type { Coverage } from '../connection/tracked-link.js';
import type { CounterBackend } from './counters.js';
import type { IndexBackend } from './indexes.js';

export type { Coverage, LocalCopies };

/** When a record expires: so many ms from now, at a moment of Redis' clock (ms since the epoch), or never. */
export type Expiry = { readonly in: number } | { readonly at: number } | 'never';

/**
 * When a record expires whose bytes are replaced: a new expiry, or the one it has, provided that comes at `keepUpTo` at the
 * latest, a moment of Redis' clock (Infinity: whenever it comes).
 */
export type NextExpiry = Expiry | { readonly keepUpTo: number };

/** What to do with a record whose bytes are still the expected ones. */
export type Change = { readonly set: Buffer; readonly expiry: NextExpiry } | 'delete';

/** What to do with a record whose head is still the expected one. */
export type HeadChange =
  /** `ifLeft`: only if the record has at most so many ms left, so that nobody has extended it since it had as many. */
  { readonly expire: Expiry; readonly ifLeft?: number } | 'delete';

/**
 * The port: what the store needs of a place that keeps bytes. Of values and namespaces it knows nothing; of a record it knows
 * where the head ends, whether that names tags, and whether it is encrypted (`record/layout.ts`).
 *
 * Rules for every method and every implementation (one contract suite runs over all of them):
 * - It settles by `deadline`, a moment of `now()`. Walks settle every step within the connection's timeout.
 * - It rejects with `CacheUnavailableError` or `CacheCommandError` and nothing else. Absence is never an error.
 * - A key of another Redis type than expected is `CacheCommandError` with reply `WRONGTYPE`, never "absent";
 *   `set`, `swap`, `heads`, `has`, `ttl`, `delete` and `scan` look at no type.
 * - Writes have happened when the promise resolves, and are sent at most once.
 * - An expired record is absent, from the millisecond of its expiry on.
 * - What is deleted is freed in the background (UNLINK), however large it is.
 */
export interface CacheBackend extends IndexBackend, CounterBackend {
  /** The clock of Redis, in ms since the epoch: by it records get their age, whatever the hosts believe. */
  now(): number;

  /** Changes when another server may have come in the place of one that answered: it may lack what that acknowledged. */
  readonly generation: number;

  /** The bytes, or `undefined` if the key is absent. */
  get(key: string, deadline: number): Promise<Buffer | undefined>;

  /** As `get`, with the ms left to live (`null`: for ever), in one atomic step. */
  getWithTtl(key: string, deadline: number): Promise<{ bytes: Buffer; ttl: number | null } | undefined>;

  /**
   * The first bytes of records, in the order of the keys: at least the whole head of what is a record. `undefined`: absent;
   * no bytes: of another type.
   */
  heads(keys: readonly string[], deadline: number): Promise<(Buffer | undefined)[]>;

  /** Overwrites whatever is there, of any type, and its expiry. */
  set(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<unknown>;

  /** As `set`; gives the head of what it overwrote, if that was a record with tags. */
  swap(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<Buffer | undefined>;

  /** Writes only if nothing of any type is there; of concurrent callers exactly one gets `true`. */
  setIfAbsent(key: string, bytes: Buffer, expiry: Expiry, deadline: number): Promise<boolean>;

  /**
   * Does `change` if the bytes are exactly `expected`, in one atomic step; `false` if they are others, or absent, or live on
   * beyond `keepUpTo`.
   */
  compareAndSet(key: string, expected: Buffer, change: Change, deadline: number): Promise<boolean>;

  /** Does `change` if the bytes begin with `head`, in one atomic step; `false` if not, or absent, or living beyond `ifLeft`. */
  compareHead(key: string, head: Buffer, change: HeadChange, deadline: number): Promise<boolean>;

  /**
   * Reads and deletes in one atomic step; of concurrent callers at most one gets the bytes. What does not begin as an
   * unencrypted record of this version is read only, since who takes it cannot open it.
   */
  take(key: string, deadline: number): Promise<Buffer | undefined>;

  has(key: string, deadline: number): Promise<boolean>;

  /** The ms left to live; `null`: for ever; `undefined`: absent. */
  ttl(key: string, deadline: number): Promise<number | null | undefined>;

  /**
   * Deletes each key, and says in their order what was there: the head of a record with tags, no bytes for anything else,
   * `undefined` for nothing. Not one atomic step.
   */
  delete(keys: readonly string[], deadline: number): Promise<(Buffer | undefined)[]>;

  /**
   * All keys that begin with one of `prefixes` (taken literally) during the whole walk, each once, in batches, in no order;
   * keys that come or go meanwhile may be in it or not. Keys that are no valid UTF-8 are nobody's here and left out.
   * One walk; the prefixes have one length and differ in ASCII characters only.
   */
  scan(...prefixes: readonly string[]): AsyncIterable<readonly string[]>;

  /**
   * As `get`, for a local copy, with the ms left to live (`null`: for ever; `undefined`: it was not there): the next change of the
   * record is told to those who `watch`. What it gives may be kept under `coverage`; without one, it may not.
   */
  getToKeep(key: string, deadline: number): Promise<Keepable>;

  /**
   * Tells `copies` of each change of what was read with `getToKeep`, whoever makes it, expiry and eviction included. What is
   * written through this process is told before it is sent, and again before its promise settles. The proof of a coverage is
   * renewed several times within the lease. `false` where there is nothing to be gained by local copies.
   */
  watch(prefix: string, lease: number, copies: LocalCopies): boolean;

  /** Lets nobody in this process keep a copy of a record: it has turned out to be another one, or gone. */
  forget(key: string): void;

  /** Lets nobody in this process keep a copy of any record of a namespace, given the beginning of its keys. */
  forgetAll(prefix: string): void;
}

/** A record that was read, with what a local copy of it rests on. */
export interface Keepable {
  readonly bytes: Buffer | undefined;
  readonly ttl: number | null | undefined;
  readonly coverage: Coverage | undefined;
}
