import { assertBoolean, assertOptions } from '../redis-cache.arguments.js';
import { CacheCorruptError } from '../redis-cache.errors.js';
import type { DeleteByTagOptions } from '../redis-cache.options.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { assertText } from './arguments.js';

/**
 * Deletes all records of a subject; how many. `tell` is told of each that `isLive` knows, once it is gone.
 *
 * @throws CacheCorruptError once all others are gone, if there was something that is no record
 */
export async function endAll(
  store: RedisCacheStore,
  subject: string,
  options: DeleteByTagOptions,
  isLive: (record: unknown, subject: string) => boolean,
  tell: (id: string) => void,
): Promise<number> {
  assertText('subject', subject);
  assertOptions(options, ['thorough']);
  const { thorough = false } = options;
  assertBoolean('thorough', thorough);
  const ids: string[] = [];
  // What cannot be read is deleted all the same. With `thorough` no index is believed.
  const where = thorough ? {} : { tag: subject };
  for await (const [id, record] of store.entries({ ...where, onCorrupt: 'skip' })) {
    if (isLive(record, subject)) ids.push(id);
  }
  try {
    const count = await store.deleteByTag(subject, { thorough });
    ids.forEach(tell);
    return count;
  } catch (error) {
    if (error instanceof CacheCorruptError) ids.forEach(tell);
    throw error;
  }
}
