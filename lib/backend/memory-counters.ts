import { CacheCommandError } from '../redis-cache.errors.js';
import type { Count, Hit, HitResult } from './counters.js';

interface Counter {
  readonly count: number;
  /** A moment in ms since the epoch, as `forgotten`; Infinity: it never comes. */
  readonly ends: number;
  /** Whether all hits with a limit are refused until it ends. */
  readonly blocked: boolean;
  /** How many blocks there were. */
  readonly series: number;
  /** When they are forgotten; -Infinity: there were none. */
  readonly forgotten: number;
}

/** Counters in this process, as the scripts of `counter-scripts.ts` keep them in Redis. */
export class MemoryCounters {
  private readonly counters = new Map<string, Counter>();

  hit(key: string, { by, ttl, limit = Infinity, block }: Hit): HitResult {
    const now = Date.now();
    const known = this.counters.get(key);
    const { series, forgotten } = known && known.forgotten > now ? known : { series: 0, forgotten: -Infinity };
    const fresh = { count: 0, ends: ttl === null ? Infinity : now + ttl, blocked: false };
    const counter = { ...(known && known.ends > now ? known : fresh), series, forgotten };
    const isRefused = limit < Infinity && (counter.blocked || counter.count + by > limit);
    if (!isRefused) return this.keep(key, { ...counter, count: sum(counter.count, by) }, true);
    if (!block || counter.blocked) return { count: counter.count, ttl: timeLeft(counter), allowed: false };
    const ends = now + Math.min(block.longest, Math.ceil(block.first * block.factor ** series));
    const blocked = { ...counter, ends, blocked: true, series: series + 1, forgotten: ends + block.longest };
    return this.keep(key, blocked, false);
  }

  read(key: string): Count | undefined {
    const counter = this.counters.get(key);
    return counter && counter.ends > Date.now() ? { count: counter.count, ttl: timeLeft(counter) } : undefined;
  }

  /** Whether there was a counter, or blocks that it remembers. */
  delete(key: string): boolean {
    const counter = this.counters.get(key);
    return this.counters.delete(key) && !isGone(counter);
  }

  has(key: string): boolean {
    return !isGone(this.counters.get(key));
  }

  keys(): Iterable<string> {
    return this.counters.keys();
  }

  /** Drops the counters that are over and remember nothing. */
  sweep(): void {
    for (const [key, counter] of this.counters) if (isGone(counter)) this.counters.delete(key);
  }

  private keep(key: string, counter: Counter, allowed: boolean): HitResult {
    this.counters.set(key, counter);
    return { count: counter.count, ttl: timeLeft(counter), allowed };
  }
}

function sum(count: number, by: number): number {
  if (Number.isSafeInteger(count + by)) return count + by;
  throw new CacheCommandError('ERR', 'Redis refused the command: ERR the counter would leave the safe integers');
}

function timeLeft({ ends }: Counter): number | null {
  return ends === Infinity ? null : ends - Date.now();
}

function isGone(counter: Counter | undefined): boolean {
  return !counter || Math.max(counter.ends, counter.forgotten) <= Date.now();
}
