import { CacheArgumentError } from './redis-cache.errors.js';

/** A string is iterable, too, but its letters are nobody's keys. */
export function assertIterable(name: string, value: unknown): void {
  const isIterable = typeof value === 'object' && value !== null && Symbol.iterator in value;
  if (!isIterable) throw new CacheArgumentError(`${name}: must be an array, or something else to iterate over`);
}

export function assertFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new CacheArgumentError(`${name}: must be a function`);
}

export function assertBoolean(name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw new CacheArgumentError(`${name}: must be true or false`);
}

/**
 * Options that were meant otherwise, such as a ttl given as a number, a Date or a misspelt name, would count for nothing.
 *
 * @throws CacheArgumentError
 */
export function assertOptions(options: unknown, known: readonly string[], name = 'options'): void {
  if (options === undefined) return;
  if (!isPlainObject(options)) throw new CacheArgumentError(`${name}: must be a plain object with ${list(known)}`);
  const unknown = Object.keys(options).find((each) => !known.includes(each));
  if (unknown === undefined) return;
  // A name is shown if it looks like that of an option; anything else may be data that was passed by mistake.
  const misspelt = /^[a-z]\w{0,19}$/i.test(unknown) ? `"${unknown}" is unknown; ` : '';
  throw new CacheArgumentError(`${name}: ${misspelt}there are ${list(known)}`);
}

/** Of whichever realm: its prototype is none, or the end of the chain. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
