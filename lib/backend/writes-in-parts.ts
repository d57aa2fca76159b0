import { afterAPart, CacheUnavailableError } from '../redis-cache.errors.js';

/*
 * Calls that consist of several writes. A part that fails may say `not-sent`; of the call as a whole that is the truth
 * only if no other part was, or may have been, carried out: else it fails with `unknown`.
 */

export function chunks<T>(items: readonly T[], size: number): (readonly T[])[] {
  if (items.length <= size) return items.length > 0 ? [items] : [];
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Writes one part after the other, and adds up how many records each of them changed. */
export async function inTurn<T>(
  parts: Iterable<T> | AsyncIterable<T>,
  write: (part: T) => Promise<number>,
): Promise<number> {
  let changed = 0;
  try {
    for await (const part of parts) changed += await write(part);
    return changed;
  } catch (error) {
    throw changed > 0 ? afterAPart(error) : error;
  }
}

/** The results of writes that were begun together, once all of them have settled; else the first failure. */
export async function together<T>(writes: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(writes);
  const failed = results.filter((result) => result.status === 'rejected');
  const [first] = failed;
  if (!first) return Promise.all(writes);
  const nothingSent = failed.length === results.length && failed.every(({ reason }) => isNotSent(reason));
  throw nothingSent ? first.reason : afterAPart(first.reason);
}

/** Whether a call that failed may have had its effect all the same. */
export function isUnknown(error: unknown): boolean {
  return error instanceof CacheUnavailableError && error.outcome === 'unknown';
}

function isNotSent(error: unknown): boolean {
  return error instanceof CacheUnavailableError && error.outcome === 'not-sent';
}
