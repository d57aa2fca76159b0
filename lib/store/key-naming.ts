import { CacheArgumentError } from '../redis-cache.errors.js';

/** The longest key or tag, in bytes of UTF-8. */
const LONGEST_KEY = 512;
/** The letters of a hash. */
const HASH = 32;
/** The most tags one record may have: they all stand in its header. */
const MOST_TAGS = 64;

/** 1 to 64 of these; no ':', '+' or '#', so that the first of them always ends the namespace. */
const NAMESPACE = /^[A-Za-z0-9._-]{1,64}$/;

export function isNamespace(name: unknown): name is string {
  return typeof name === 'string' && NAMESPACE.test(name);
}

export type Kind = 'record' | 'counter' | 'index';

/** The kinds of what there is in a namespace, with the sign that follows the namespace in a Redis key. */
const KINDS: readonly (readonly [Kind, string])[] = [
  ['record', ':'],
  ['counter', '+'],
  ['index', '#'],
];

/** Hides keys and tags from whoever can read Redis. */
export interface NameHash {
  hash(what: 'key' | 'tag', text: string): string;
}

/**
 * Where records, counters and tag indexes lie in Redis: a record at `<namespace>:<id>`, a counter at `<namespace>+<id>`, an
 * index at `<namespace>#<tag id>`. The id of a key is the key itself, or its keyed hash; likewise that of a tag. Members of indexes
 * and tags in headers are ids.
 *
 * In a scope, ids begin with `<scope>:`, or with the hash of the scope and `:`. The full key of a record, which its store
 * sees, is `<scope>:<key>`.
 */
export class KeyNaming {
  constructor(
    private readonly namespace: string,
    private readonly names?: NameHash,
    private readonly within = '',
    private readonly scopeText = '',
  ) {}

  /** That of the scope of a name. @throws CacheArgumentError */
  scope(name: unknown): KeyNaming {
    if (!isNamespace(name)) throw new CacheArgumentError(`scope: must be 1 to 64 of A-Z a-z 0-9 . _ -`);
    const within = `${this.within}${this.names ? this.names.hash('key', name) : name}:`;
    // So that no id is longer than the longest key.
    if (within.length + (this.names ? HASH : 1) > LONGEST_KEY) {
      throw new CacheArgumentError('scope: lies within so many others that no key has room');
    }
    return new KeyNaming(this.namespace, this.names, within, `${this.scopeText}${name}:`);
  }

  /** Whether a key can be told from its id. */
  get isReadable(): boolean {
    return this.names === undefined;
  }

  /** What the Redis keys of records begin with. */
  get prefix(): string {
    return this.recordKey(this.within);
  }

  /** @throws CacheArgumentError for a bad key */
  id(key: string): string {
    return this.idOfName('key', key);
  }

  /** A key as the store sees it of which this is a scope. */
  fullKey(key: string): string {
    return this.scopeText + key;
  }

  /** The key, from the full key. */
  keyOf(fullKey: string): string {
    return fullKey.slice(this.scopeText.length);
  }

  /** What an error may call a record of which only the id is known: its key, or the hash of that. */
  nameOf(id: string): string {
    return this.isReadable ? this.keyOf(id) : id;
  }

  /** Whether something with this id is of this scope. */
  holds(id: string): boolean {
    return id.startsWith(this.within);
  }

  /** The Redis key of a record, from its id. */
  recordKey(id: string): string {
    return `${this.namespace}:${id}`;
  }

  /** The Redis key of a record, from its key. @throws CacheArgumentError for a bad key */
  locate(key: string): string {
    return this.recordKey(this.id(key));
  }

  /** The Redis key of a counter. @throws CacheArgumentError for a bad key */
  counterKey(key: string): string {
    return `${this.namespace}+${this.id(key)}`;
  }

  /** What the Redis keys of the namespace begin with, of these kinds, if ids begin with `idPrefix`. */
  prefixes(idPrefix = '', kinds: readonly Kind[] = ['record', 'counter', 'index']): readonly string[] {
    const signs = KINDS.filter(([kind]) => kinds.includes(kind)).map(([, sign]) => sign);
    return signs.map((sign) => this.namespace + sign + this.within + idPrefix);
  }

  /** What lies under a Redis key of the namespace. */
  kindOf(redisKey: string): Kind | undefined {
    return KINDS.find(([, sign]) => redisKey.charAt(this.namespace.length) === sign)?.[0];
  }

  /** The id of a record, from its Redis key. */
  idOf(recordKey: string): string {
    return recordKey.slice(this.namespace.length + 1);
  }

  /** @throws CacheArgumentError for a bad tag */
  tagId(tag: string): string {
    return this.idOfName('tag', tag);
  }

  /** The ids of tags, without repetitions. @throws CacheArgumentError */
  tagIds(tags: unknown): readonly string[] {
    if (!Array.isArray(tags)) throw new CacheArgumentError('tags: must be an array of strings');
    const distinct = [...new Set(tags as string[])];
    if (distinct.length > MOST_TAGS) throw new CacheArgumentError(`tags: must not be more than ${MOST_TAGS}`);
    return distinct.map((tag) => this.tagId(tag));
  }

  /** The tags, from their ids; where names are hashed, their hashes. In a scope, without those that are none of its own. */
  tagsOf(tagIds: readonly string[]): readonly string[] {
    return tagIds.filter((tagId) => this.holds(tagId)).map((tagId) => tagId.slice(this.within.length));
  }

  /** The Redis key of a tag's index. */
  indexKey(tagId: string): string {
    return `${this.namespace}#${tagId}`;
  }

  private idOfName(what: 'key' | 'tag', text: string): string {
    assertName(what, text, this.scopeText);
    return this.within + (this.names ? this.names.hash(what, text) : text);
  }
}

/** A non-empty, well-formed string of at most 512 bytes, those of its scope included; what it says is not shown. */
function assertName(what: 'key' | 'tag', text: unknown, scopeText: string): asserts text is string {
  const refuse = (problem: string) => new CacheArgumentError(`${what}: ${problem}`);
  if (typeof text !== 'string') throw refuse(`must be a string, not ${typeof text}`);
  if (text === '') throw refuse('must not be empty');
  // A string of n units has at most 3n bytes, so that short ones, which is nearly all, need not be measured.
  const { length } = scopeText;
  if (length + text.length > LONGEST_KEY / 3 && length + Buffer.byteLength(text) > LONGEST_KEY) {
    throw refuse(`must not be longer than ${LONGEST_KEY} bytes${length > 0 ? ', those of its scope included' : ''}`);
  }
  if (!text.isWellFormed()) throw refuse('must be well-formed Unicode (it has a lone surrogate)');
}
