// Imported: the global one is a getter (of Node 20, at least), which would be a tenth of what a hit costs.
import { performance } from 'node:perf_hooks';
import type { CacheBackend, Invalidations } from '../backend/cache-backend.js';
import type { Keyspace } from './keyspace.js';
import type { StoreSettings } from './store-settings.js';

/** A local copy of a record. Moments are of `performance.now()`. */
export interface NearEntry {
  readonly id: string;
  /** Deeply frozen, to be handed out as it is (a promise for each hit takes longer); absent: `bytes` are to be decoded for each caller. */
  readonly value?: Promise<unknown>;
  readonly bytes?: Buffer;
  /** When it expires in Redis, or is due for a sliding extension, which only Redis can give. */
  readonly until: number;
  /** When it last became the most recently used one. */
  usedAt: number;
}

/** Within this time after a use, another one does not count: moving a hot copy at every hit would double what a hit costs. In ms. */
const RECENCY = 10;

/** The reads of one key that are on their way. */
export interface Flight {
  readers: number;
  void: boolean;
}

/**
 * Local copies of records, kept coherent by Redis' own invalidation messages. The rules:
 *
 * 1. A copy is served only while the feed is proven alive: a PING *sent* less than `lease` ago was answered. Answers and
 *    invalidations come over one socket in order, so everything invalidated before that PING is known. Whatever breaks,
 *    nothing older than `lease` is served.
 * 2. A value is kept only if its key was not invalidated between the moment its read began and its arrival: reads and
 *    invalidations come over two sockets with no common order (measured: without this rule 96% of hot keys end up stale).
 * 3. What this process writes or deletes is forgotten before it is sent and again before the caller knows of the answer.
 * 4. A lost feed, a new feed and FLUSHALL forget everything, reads on their way included.
 */
export class NearCache {
  private readonly entries = new Map<string, NearEntry>();
  private readonly flights = new Map<string, Flight>();

  constructor(
    private readonly feed: Invalidations,
    private readonly lease: number,
    private readonly maxEntries: number,
  ) {}

  /** A copy that may be served now; it becomes the most recently used one (of those that were used in the last 10 ms). */
  get(id: string): NearEntry | undefined {
    const entry = this.entries.get(id);
    if (!entry) return undefined;
    const now = performance.now();
    if (now >= this.feed.provenAt + this.lease) return undefined;
    const isOver = now >= entry.until;
    if (isOver || now - entry.usedAt > RECENCY) {
      this.entries.delete(id);
      if (isOver) return undefined;
      entry.usedAt = now;
      this.entries.set(id, entry);
    }
    return entry;
  }

  /** To be called before a read is sent; each begun flight must be ended. */
  begin(id: string): Flight {
    const flight = this.flights.get(id) ?? { readers: 0, void: false };
    flight.readers++;
    this.flights.set(id, flight);
    return flight;
  }

  end(id: string, flight: Flight): void {
    flight.readers--;
    if (flight.readers === 0 && this.flights.get(id) === flight) this.flights.delete(id);
  }

  /** Keeps what a flight brought, unless its key was invalidated meanwhile. */
  keep(flight: Flight, entry: NearEntry): void {
    if (flight.void) return;
    this.entries.delete(entry.id);
    this.entries.set(entry.id, entry);
    if (this.entries.size <= this.maxEntries) return;
    const [leastRecentlyUsed] = this.entries.keys();
    if (leastRecentlyUsed !== undefined) this.entries.delete(leastRecentlyUsed);
  }

  forget(id: string): void {
    this.entries.delete(id);
    const flight = this.flights.get(id);
    if (!flight) return;
    flight.void = true;
    this.flights.delete(id);
  }

  forgetAll(): void {
    this.entries.clear();
    for (const id of this.flights.keys()) this.forget(id);
  }
}

/** The near cache of a store, if it is to have one. */
export function openNearCache(
  { nearCache }: StoreSettings,
  backend: CacheBackend,
  keyspace: Keyspace,
): NearCache | undefined {
  if (!nearCache) return undefined;
  const { lease, maxEntries } = nearCache;
  const feed = backend.watch(keyspace.prefix, lease, (recordKey) => {
    if (recordKey === undefined) near?.forgetAll();
    else near?.forget(keyspace.idOf(recordKey));
  });
  const near = feed && new NearCache(feed, lease, maxEntries);
  return near;
}

/** Freezes plain data, and says whether it was: objects, arrays and primitives, which frozen cannot change any more. */
export function freezePlainData(value: unknown): boolean {
  if (!isPart(value)) return true;
  const parts = new Set([value]);
  for (const part of parts) {
    const prototype: unknown = typeof part === 'object' ? Object.getPrototypeOf(part) : undefined;
    if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return false;
    for (const inner of Object.values(part)) if (isPart(inner)) parts.add(inner);
  }
  for (const part of parts) Object.freeze(part);
  return true;
}

/** What could be changed, were it not frozen. (A function keeps what it likes to itself.) */
function isPart(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
