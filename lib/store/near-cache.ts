import type { CacheBackend, Coverage, LocalCopies } from '../backend/cache-backend.js';
import { now } from '../redis-cache.timers.js';
import { CoarseWallClock } from './coarse-wall-clock.js';
import type { CopyBudget, SizedCopy } from './copy-budget.js';
import { budgetOf } from './copy-budget.js';
import { tellNearCache } from '../redis-cache.diagnostics.js';
import type { KeyNaming } from './key-naming.js';
import type { StoreSettings } from './store-settings.js';

/** A local copy of a record. Moments are of `now()`. */
export interface NearEntry extends SizedCopy {
  readonly id: string;
  /** Deeply frozen, to be handed out as it is (a promise for each hit takes longer); absent: `bytes` are to be decoded for each caller. */
  readonly value?: Promise<unknown>;
  readonly bytes?: Buffer;
  /** What it was read under. */
  readonly coverage: Coverage;
  /** When it expires in Redis, or is due for a sliding extension, which only Redis can give. */
  readonly until: number;
  /** The same moment by the wall clock, which goes on while the machine sleeps. */
  readonly untilByWall: number;
  /** When it last became the most recently used one. */
  usedAt: number;
}

/** Within this time after a use, another one does not count: moving a hot copy at every hit would double what a hit costs. In ms. */
const RECENCY = 10;

/** What is told of copies; see CacheNearMessage. */
type NearEvent = 'fill' | 'eviction' | 'invalidation';

/** The reads of one key that are on their way. */
export interface Flight {
  readers: number;
  void: boolean;
}

/**
 * Local copies of records, kept coherent by Redis' own invalidation messages. The rules:
 *
 * 1. A copy is served only while what it was read under is proven: less than `lease` ago, the server that it was read from was asked
 *    over both connections, and has answered. Everything it had invalidated by then is known, since answers and invalidations
 *    come over one socket in order. Whatever breaks, nothing older than `lease` is served.
 * 2. A value is kept only if its key was not invalidated between the moment its read began and its arrival: reads and
 *    invalidations come over two sockets with no common order (measured: without this rule 96% of hot keys end up stale).
 * 3. What this process writes or deletes is forgotten before it is sent and again before the caller knows of the answer.
 * 4. What was read over a connection that is lost, beside a feed that is lost, or before FLUSHALL, is never served again.
 */
export class NearCache implements LocalCopies {
  private readonly entries = new Map<string, NearEntry>();
  private readonly flights = new Map<string, Flight>();
  private readonly wallClock = new CoarseWallClock();
  private readonly evict = (entry: SizedCopy) => {
    this.drop((entry as NearEntry).id);
    this.tell('eviction', this, 1);
  };

  constructor(
    private readonly lease: number,
    private readonly maxEntries: number,
    private readonly budget: CopyBudget,
    private readonly idOf: (recordKey: string) => string = (recordKey) => recordKey,
    private readonly tell: (event: NearEvent, near: NearCache, copies: number) => void = () => {},
  ) {}

  /** The number of copies. */
  get size(): number {
    return this.entries.size;
  }

  /** A copy that may be served now; it becomes the most recently used one (of those that were used in the last 10 ms). */
  get(id: string): NearEntry | undefined {
    const entry = this.entries.get(id);
    if (!entry) return undefined;
    const { coverage } = entry;
    const at = now();
    const wall = this.wallClock.at(at);
    if (at >= coverage.provenAt + this.lease || wall >= coverage.provenAtByWall + this.lease) return undefined;
    if (at >= entry.until || wall >= entry.untilByWall) {
      this.evict(entry);
      return undefined;
    }
    if (at - entry.usedAt > RECENCY) {
      entry.usedAt = at;
      this.entries.delete(id);
      this.entries.set(id, entry);
      this.budget.use(entry);
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

  /** Keeps what a flight brought in the place of what there was, unless the key was invalidated meanwhile. */
  keep(flight: Flight, entry: NearEntry): void {
    if (flight.void) return;
    this.drop(entry.id);
    if (!this.budget.add(entry, this.evict)) return;
    this.entries.set(entry.id, entry);
    this.tell('fill', this, 1);
    if (this.entries.size <= this.maxEntries) return;
    const [leastRecentlyUsed] = this.entries.values();
    if (leastRecentlyUsed) this.evict(leastRecentlyUsed);
  }

  /** A newer read takes the place of a copy, if there is one; whether there was. */
  drop(id: string): boolean {
    const entry = this.entries.get(id);
    if (!entry) return false;
    this.entries.delete(id);
    this.budget.remove(entry);
    return true;
  }

  forget(recordKey: string): void {
    const id = this.idOf(recordKey);
    if (this.drop(id)) this.tell('invalidation', this, 1);
    this.void(id);
  }

  forgetAll(coverage?: Coverage): void {
    let copies = 0;
    for (const [id, entry] of this.entries) {
      if ((!coverage || entry.coverage === coverage) && this.drop(id)) copies++;
    }
    if (copies > 0) this.tell('invalidation', this, copies);
    // What was read under a lost coverage is of no use when it comes: that is never proven again.
    if (!coverage) for (const id of this.flights.keys()) this.void(id);
  }

  private void(id: string): void {
    const flight = this.flights.get(id);
    if (!flight) return;
    flight.void = true;
    this.flights.delete(id);
  }
}

/** The near cache of a store, if it is to have one. */
export function openNearCache(
  { nearCache, namespace, source }: StoreSettings,
  backend: CacheBackend,
  naming: KeyNaming,
): NearCache | undefined {
  if (!nearCache) return undefined;
  const { lease, maxEntries, maxBytes } = nearCache;
  const budget = budgetOf(maxBytes);
  const idOf = (recordKey: string) => naming.idOf(recordKey);
  const near = new NearCache(lease, maxEntries, budget, idOf, (event, { size: entries }, copies) =>
    tellNearCache(() => ({ ...source, namespace, event, copies, entries, bytes: budget.bytes })),
  );
  return backend.watch(naming.prefix, lease, near) ? near : undefined;
}
