import { CacheArgumentError } from '../redis-cache.errors.js';

/** A text of the application's that becomes part of a key or a tag; what it says is not shown. @throws CacheArgumentError */
export function assertText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw new CacheArgumentError(`${name}: must be a string, not ${typeof value}`);
  if (value === '') throw new CacheArgumentError(`${name}: must not be empty`);
  if (Buffer.byteLength(value) > 512) throw new CacheArgumentError(`${name}: must not be longer than 512 bytes`);
  if (!value.isWellFormed()) throw new CacheArgumentError(`${name}: must be well-formed Unicode`);
}
