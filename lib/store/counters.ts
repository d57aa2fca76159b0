import type { CacheBackend } from '../backend/cache-backend.js';
import type { Block, Hit } from '../backend/counters.js';
import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { BlockOptions, CacheCounter, CacheHit, IncrementOptions } from '../redis-cache.options.js';
import { assertOptions } from '../redis-cache.arguments.js';
import type { KeyNaming } from './key-naming.js';
import type { StoreSettings } from './store-settings.js';

const INCREMENT_OPTIONS: readonly (keyof IncrementOptions)[] = ['by', 'ttl', 'limit', 'block'];
const BLOCK_OPTIONS: readonly (keyof BlockOptions)[] = ['first', 'factor', 'longest'];

/** The default of `longest`, for blocks that get longer. */
const DAY = 24 * 60 * 60 * 1000;

/** The counters of a store: a kind of their own beside its records. */
export class Counters {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly deadline: () => number,
  ) {}

  async increment(key: string, options: IncrementOptions | undefined): Promise<CacheHit> {
    const counterKey = this.naming.counterKey(key);
    const hit = this.hit(options);
    const { count, ttl, allowed } = await this.backend.hit(counterKey, hit, this.deadline());
    return { count, ttl, allowed, retryAfter: allowed ? 0 : (ttl ?? Infinity) };
  }

  async read(key: string): Promise<CacheCounter | undefined> {
    return this.backend.counter(this.naming.counterKey(key), this.deadline());
  }

  async reset(key: string): Promise<boolean> {
    const [found] = await this.backend.delete([this.naming.counterKey(key)], this.deadline());
    return found !== undefined;
  }

  private hit(options: IncrementOptions = {}): Hit {
    assertOptions(options, INCREMENT_OPTIONS);
    const { by = 1, limit } = options;
    const ttl = options.ttl === undefined ? this.settings.ttl : duration('ttl', options.ttl);
    if (!Number.isSafeInteger(by)) throw new CacheArgumentError('by: must be a whole number');
    if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1)) {
      throw new CacheArgumentError('limit: must be a whole number from 1');
    }
    if (limit !== undefined && !(by >= 1 && by <= limit)) {
      throw new CacheArgumentError('by: must be from 1 to the limit, or the hit could never be allowed');
    }
    if (options.block === undefined) return { by, ttl, limit };
    if (limit === undefined) throw new CacheArgumentError('block: needs a limit, whose passing it punishes');
    return { by, ttl, limit, block: blockOf(options.block) };
  }
}

function blockOf(options: BlockOptions): Block {
  assertOptions(options, BLOCK_OPTIONS, 'block');
  const first = duration('block.first', options.first);
  const { factor = 1 } = options;
  if (!(typeof factor === 'number' && factor >= 1 && factor < Infinity)) {
    throw new CacheArgumentError('block.factor: must be a number from 1');
  }
  const fallback = factor === 1 ? first : Math.max(first, DAY);
  const longest = options.longest === undefined ? fallback : duration('block.longest', options.longest);
  if (longest < first) throw new CacheArgumentError('block.longest: must not be shorter than block.first');
  return { first, factor, longest };
}

function duration(name: string, given: unknown): number {
  const parsed = toMilliseconds(given);
  if (parsed === undefined) throw new CacheArgumentError(`${name}: ${durationProblem(given)}`);
  return parsed;
}
