import { CacheArgumentError } from '../redis-cache.errors.js';

/** The longest key or tag, in bytes of UTF-8. */
export const LONGEST_KEY = 512;
/** The most tags one record may have: they all stand in its header. */
export const MOST_TAGS = 64;

/** 1 to 64 of these; no ':' or '#', so that the first of them always ends the namespace. */
const NAMESPACE = /^[A-Za-z0-9._-]{1,64}$/;

export function isNamespace(name: unknown): name is string {
  return typeof name === 'string' && NAMESPACE.test(name);
}

/** @throws CacheArgumentError unless `text` is a non-empty, well-formed string of at most 512 bytes; it is not shown */
export function assertName(what: 'key' | 'tag', text: unknown): asserts text is string {
  if (typeof text !== 'string') throw new CacheArgumentError(`${what}: must be a string, not ${typeof text}`);
  if (text === '') throw new CacheArgumentError(`${what}: must not be empty`);
  // A string of n units has at most 3n bytes, so that short ones, which is nearly all, need not be measured.
  if (text.length > LONGEST_KEY / 3 && Buffer.byteLength(text) > LONGEST_KEY) {
    throw new CacheArgumentError(`${what}: must not be longer than ${LONGEST_KEY} bytes`);
  }
  if (!text.isWellFormed())
    throw new CacheArgumentError(`${what}: must be well-formed Unicode (it has a lone surrogate)`);
}

/** The tags as given, without repetitions. */
export function toTags(tags: unknown): readonly string[] {
  if (!Array.isArray(tags)) throw new CacheArgumentError('tags: must be an array of strings');
  const distinct = [...new Set(tags as unknown[])];
  if (distinct.length > MOST_TAGS) throw new CacheArgumentError(`tags: must not be more than ${MOST_TAGS}`);
  for (const tag of distinct) assertName('tag', tag);
  return distinct as string[];
}

/** Where the records and tag indexes of one namespace lie in Redis. */
export class Keyspace {
  readonly prefix: string;

  constructor(private readonly namespace: string) {
    this.prefix = `${namespace}:`;
  }

  /** The Redis key of a record. @throws CacheArgumentError for a bad key */
  recordKey(key: string): string {
    assertName('key', key);
    return this.prefix + key;
  }

  /** The Redis key of a tag's index. @throws CacheArgumentError for a bad tag */
  indexKey(tag: string): string {
    assertName('tag', tag);
    return `${this.namespace}#${tag}`;
  }

  /** The key of a record, from its Redis key. */
  keyOf(recordKey: string): string {
    return recordKey.slice(this.prefix.length);
  }
}
