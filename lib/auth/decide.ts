import type { PutOptions } from '../redis-cache.options.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';

/** What is to become of a record, and what the caller is told; without `write` the record stays as it is. */
export interface Decision<Value, Answer> {
  readonly answer: Answer;
  readonly write?: Value;
}

/** Ends an `update` without a write: what its callback throws comes through. */
const LEAVE = new Error('leaves the record as it is');

/**
 * Decides by what a record says, as `update` does: by compare-and-set, and again if somebody was faster. So an answer that comes with
 * a write is given to one caller. `undefined`: there is no record.
 */
export async function decide<Value, Answer>(
  store: RedisCacheStore,
  key: string,
  decision: (current: Value) => Decision<Value, Answer> | Promise<Decision<Value, Answer>>,
  options?: PutOptions,
): Promise<Answer | undefined> {
  let answer: Answer | undefined;
  const change = async (current: Value) => {
    const decided = await decision(current);
    answer = decided.answer;
    if (decided.write === undefined) throw LEAVE;
    return decided.write;
  };
  try {
    return (await store.update<Value>(key, change, options)) === undefined ? undefined : answer;
  } catch (error) {
    if (error === LEAVE) return answer;
    throw error;
  }
}
