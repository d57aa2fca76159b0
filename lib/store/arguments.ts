import { CacheArgumentError } from '../redis-cache.errors.js';

/** A string is iterable, too, but its letters are nobody's keys. */
export function assertIterable(name: string, value: unknown): void {
  const isIterable = typeof value === 'object' && value !== null && Symbol.iterator in value;
  if (!isIterable) throw new CacheArgumentError(`${name}: must be an array, or something else to iterate over`);
}

export function assertFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new CacheArgumentError(`${name}: must be a function`);
}

/** Options that were meant otherwise, such as a ttl given as a number or a misspelt name, would count for nothing. */
export function assertOptions(options: unknown, known: readonly string[], name = 'options'): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new CacheArgumentError(`${name}: must be an object with ${list(known)}`);
  }
  const unknown = Object.keys(options).find((each) => !known.includes(each));
  if (unknown === undefined) return;
  // A name is shown if it looks like that of an option; anything else may be data that was passed by mistake.
  const misspelt = /^[a-z]\w{0,19}$/i.test(unknown) ? `"${unknown}" is unknown; ` : '';
  throw new CacheArgumentError(`${name}: ${misspelt}there are ${list(known)}`);
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
