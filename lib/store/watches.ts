import { createHash } from 'node:crypto';
import { Observable } from 'rxjs';
import type { Subscriber } from 'rxjs';
import type { CacheBackend, Coverage, Keepable, LocalCopies } from '../backend/cache-backend.js';
import { decodeHeader } from '../record/layout.js';
import { CacheConfigError, CacheUnavailableError } from '../redis-cache.errors.js';
import { delay, now } from '../redis-cache.timers.js';
import { tooOldAt } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import type { StoreSettings } from './store-settings.js';

/** What has happened to a record that is watched. */
export type RecordChange = 'changed' | 'gone';

/** A digest of a record as it was last seen; `null`: there was none; `undefined`: nobody has looked yet. */
type Seen = string | null | undefined;

/** Node fires a longer timer at once. In ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Records that are watched. A record is read, and read again when Redis tells that it has changed, when it expires, and when
 * what has been told since the last read may be incomplete. So nothing is missed for longer than `lease`.
 */
export class Watches implements LocalCopies {
  /** By Redis key: those who wait for a change. */
  readonly #waiting = new Map<string, Set<AbortController>>();
  readonly #settings: StoreSettings;
  readonly #backend: CacheBackend;
  #isOpen = false;

  constructor(settings: StoreSettings, backend: CacheBackend) {
    this.#settings = settings;
    this.#backend = backend;
  }

  /** @throws CacheArgumentError for a bad key; CacheConfigError in a store without a near cache */
  watch(naming: KeyNaming, key: string): Observable<RecordChange> {
    const recordKey = naming.locate(key);
    const { nearCache } = this.#settings;
    if (!nearCache)
      throw new CacheConfigError('nearCache', 'is what watch() needs to be told of changes: switch it on');
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#backend.watch(naming.prefix, nearCache.lease, this);
    }
    return new Observable((subscriber) => {
      const stop = new AbortController();
      void this.#follow(recordKey, nearCache.lease, subscriber, stop.signal);
      return () => stop.abort();
    });
  }

  forget(recordKey: string): void {
    for (const waiter of this.#waiting.get(recordKey) ?? []) waiter.abort();
  }

  forgetAll(): void {
    for (const recordKey of this.#waiting.keys()) this.forget(recordKey);
  }

  async #follow(
    recordKey: string,
    lease: number,
    subscriber: Subscriber<RecordChange>,
    stop: AbortSignal,
  ): Promise<void> {
    for (let seen: Seen; !stop.aborted;) {
      // From before the read on: what changes meanwhile has to be read again.
      const changed = this.#wait(recordKey);
      const signal = AbortSignal.any([changed.signal, stop]);
      const begunAt = now();
      try {
        const found = await this.#backend.getToKeep(recordKey, begunAt + this.#settings.timeout);
        if (stop.aborted) return;
        const is = this.#look(found);
        if (is !== seen && (seen !== undefined || is === null)) subscriber.next(is === null ? 'gone' : 'changed');
        seen = is;
        await this.#whileCovered(found, begunAt, lease, signal);
      } catch (error) {
        if (error instanceof CacheUnavailableError && error.reason === 'closed') return subscriber.complete();
        await delay(lease / 2, stop);
      } finally {
        this.#leave(recordKey, changed);
      }
    }
  }

  /** Resolves when the record has to be read again. */
  async #whileCovered(
    { bytes, ttl, coverage }: Keepable,
    readAt: number,
    lease: number,
    signal: AbortSignal,
  ): Promise<void> {
    const expiresAt = readAt + (ttl ?? Infinity) + 1;
    const agesIn = bytes ? lifeOf(this.#settings, bytes) - this.#backend.now() : Infinity;
    while (!signal.aborted) {
      const due = Math.min(expiresAt, readAt + agesIn, incompleteAt(coverage, readAt, lease)) - now();
      if (due <= 0) return;
      await delay(Math.min(due, LONGEST_TIMER), signal);
    }
  }

  #look({ bytes }: Keepable): Seen {
    if (!bytes || lifeOf(this.#settings, bytes) <= this.#backend.now()) return null;
    return createHash('sha256').update(bytes).digest('base64');
  }

  #wait(recordKey: string): AbortController {
    const waiter = new AbortController();
    const others = this.#waiting.get(recordKey) ?? new Set();
    this.#waiting.set(recordKey, others.add(waiter));
    return waiter;
  }

  #leave(recordKey: string, waiter: AbortController): void {
    const others = this.#waiting.get(recordKey);
    others?.delete(waiter);
    if (others?.size === 0) this.#waiting.delete(recordKey);
  }
}

/** When something may have been missed. A proof is renewed four times within the lease. */
function incompleteAt(coverage: Coverage | undefined, readAt: number, lease: number): number {
  return Math.max(readAt + lease / 2, (coverage?.provenAt ?? -Infinity) + (lease * 3) / 4);
}

/** The moment of Redis' clock at which a record is too old to be read; whatever is no record never is. */
function lifeOf(settings: StoreSettings, bytes: Buffer): number {
  try {
    return tooOldAt(settings, decodeHeader(bytes));
  } catch {
    return Infinity;
  }
}
