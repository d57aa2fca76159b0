import { types } from 'node:util';
import { CacheArgumentError } from '../../redis-cache.errors.js';

/** So many objects and arrays may a value have within each other. Far fewer than the stack has room for, cold or warm. */
export const MOST_DEPTH = 500;

export function assertDepth(depth: number): void {
  if (depth <= MOST_DEPTH) return;
  throw unstorable(`an object that is nested too deeply (more than ${MOST_DEPTH} levels)`);
}

export function unstorable(what: string): CacheArgumentError {
  return new CacheArgumentError(`value: ${what} cannot be stored`);
}

/** What is said of a value that no kind fits. */
export function strange(value: unknown): CacheArgumentError {
  if (typeof value !== 'object') return unstorable(`a ${typeof value}`);
  if (types.isPromise(value)) return unstorable('a promise (is an await missing?)');
  const name: unknown = value?.constructor?.name;
  const isName = typeof name === 'string' && /^\w{1,64}$/.test(name);
  return unstorable(`an instance of ${isName ? name : 'a class of its own'}`);
}
