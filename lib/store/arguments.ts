import { CacheArgumentError } from '../redis-cache.errors.js';

/** A string is iterable, too, but its letters are nobody's keys. */
export function assertIterable(name: string, value: unknown): void {
  const isIterable = typeof value === 'object' && value !== null && Symbol.iterator in value;
  if (!isIterable) throw new CacheArgumentError(`${name}: must be an array, or something else to iterate over`);
}

export function assertFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new CacheArgumentError(`${name}: must be a function`);
}

/** Options that somebody meant otherwise, such as a ttl given as a number, would be none at all. */
export function assertOptions(options: unknown, known: readonly string[], name = 'options'): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new CacheArgumentError(`${name}: must be an object with ${list(known)}`);
  }
  const unknown = Object.keys(options).find((each) => !known.includes(each));
  if (unknown !== undefined) throw new CacheArgumentError(`${name}: may have ${list(known)} and nothing else`);
}

function list(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`);
  return quoted.length < 2 ? quoted.join('') : `${quoted.slice(0, -1).join(', ')} and ${quoted.at(-1)}`;
}
