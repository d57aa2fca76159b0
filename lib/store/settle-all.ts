import { CacheUnavailableError } from '../redis-cache.errors.js';

/**
 * Waits for all of several writes, then throws the first failure. One that says `not-sent` says `unknown` if any
 * other of them, or an `earlier` one, may have been carried out: of the call as a whole that is the truth.
 */
export async function settleAll(writes: readonly Promise<unknown>[], earlier: boolean): Promise<void> {
  const failures = (await Promise.allSettled(writes)).flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  if (failures.length === 0) return;
  const [first] = failures;
  const nothingSent = (error: unknown) => error instanceof CacheUnavailableError && error.outcome === 'not-sent';
  if (!nothingSent(first) || (!earlier && failures.length === writes.length && failures.every(nothingSent)))
    throw first;
  const { reason, message, cause } = first as CacheUnavailableError;
  throw new CacheUnavailableError(reason, 'unknown', `${message} (some of the records were written)`, { cause });
}
