import type { CacheBackend } from '../backend/cache-backend.js';
import { KeysUnavailableError } from '../record/cipher.js';
import type { Decoded, RecordCodec } from '../record/codec.js';
import { CacheArgumentError, CacheCorruptError } from '../redis-cache.errors.js';
import type { CacheRecord, ScanOptions, WalkOptions } from '../redis-cache.options.js';
import { assertOptions } from '../redis-cache.arguments.js';
import { isTooOld, withinAge } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import { Parts } from './parts.js';
import type { StoreSettings } from './store-settings.js';
import { Sweep } from './sweep.js';
import { isOfAnotherType } from './tag-index.js';
import type { OnGone, TagIndex } from './tag-index.js';

const SCAN_OPTIONS: readonly (keyof ScanOptions)[] = ['prefix', 'tag'];
const WALK_OPTIONS: readonly (keyof WalkOptions)[] = [...SCAN_OPTIONS, 'onCorrupt'];

/** Passes over the index of a tag: where many write and delete, in each one a record goes that was to be given. */
const MOST_PASSES = 3;

/** A record of a walk. */
interface Walked extends Decoded {
  /** The ms it has left; `null`: it never expires. */
  readonly left: number | null;
}

type OnCorrupt = StoreSettings['onCorrupt'] | 'skip';

/** Walks over the records of a namespace, or over those that have a tag. */
export class Walks {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
    private readonly deadline: () => number,
  ) {}

  /** The keys of records in batches, as Redis gives them. */
  async *keys(options: ScanOptions | undefined): AsyncIterable<readonly string[]> {
    checkScan(options);
    for await (const found of this.named(options)) yield found.map(({ key }) => key);
  }

  /** The keys of all records. Where keys are hashed, one of a scope may have the text of another one. */
  async all(options: ScanOptions | undefined): Promise<Set<string>> {
    const all = new Set<string>();
    for await (const keys of this.keys(options)) for (const key of keys) all.add(key);
    return all;
  }

  /** The number of records. */
  async count(options: ScanOptions | undefined): Promise<number> {
    let count = 0;
    for await (const keys of this.keys(options)) count += keys.length;
    return count;
  }

  /** The ids of records in batches. */
  async *ids(options: ScanOptions | undefined): AsyncIterable<readonly string[]> {
    checkScan(options);
    for await (const found of this.named(options)) yield found.map(({ id }) => id);
  }

  /** The records, one after the other; one that goes meanwhile is left out. */
  async *records(options: WalkOptions | undefined): AsyncIterable<CacheRecord> {
    for await (const found of this.walk(options, true)) yield this.recordOf(found);
  }

  /** As `records`, without what only a second command tells. */
  values(options: WalkOptions | undefined): AsyncIterable<Decoded> {
    return this.walk(options, false);
  }

  /** A single record, as walks give it. */
  async record(key: string): Promise<CacheRecord | undefined> {
    const found = await this.read(this.naming.id(key), true, this.deadline(), this.settings.onCorrupt, { key });
    return found && this.recordOf(found);
  }

  private async *walk(options: WalkOptions | undefined, isTimed: boolean): AsyncIterable<Walked> {
    checkScan(options, WALK_OPTIONS);
    const { prefix = '', onCorrupt = this.settings.onCorrupt } = options ?? {};
    if (![undefined, 'throw', 'skip'].includes(options?.onCorrupt)) {
      throw new CacheArgumentError(`onCorrupt: must be 'throw' or 'skip'`);
    }
    const tagId = options?.tag === undefined ? undefined : this.naming.tagId(options.tag);
    const parts = new Parts(this.deadline);
    const sweep = new Sweep();
    const read = (id: string, deadline: number) =>
      this.read(id, isTimed, deadline, onCorrupt, { onAbsent: sweep.lost });
    for await (const ids of this.found(options, onCorrupt, sweep)) {
      for await (const part of parts.read(ids, read)) {
        for (const record of part) {
          // Without its tag it is what a move left behind, or was given other tags.
          if (record && tagId !== undefined && !record.header.tags.includes(tagId)) sweep.lost(record.id);
          else if (record?.key.startsWith(prefix)) yield record;
        }
      }
    }
  }

  private recordOf({ key, value, header, left }: Walked): CacheRecord {
    const tags = this.naming.tagsOf(header.tags);
    return { key, value, ttl: left, createdAt: new Date(header.createdAt), tags };
  }

  private async read(
    id: string,
    isTimed: boolean,
    deadline: number,
    onCorrupt: OnCorrupt,
    { key, onAbsent }: { readonly key?: string; readonly onAbsent?: (id: string) => void },
  ): Promise<Walked | undefined> {
    const recordKey = this.naming.recordKey(id);
    try {
      const timed = isTimed ? await this.backend.getWithTtl(recordKey, deadline) : undefined;
      const bytes = isTimed ? timed?.bytes : await this.backend.get(recordKey, deadline);
      if (!bytes) onAbsent?.(id);
      const found = bytes && (await this.codec.decode(id, bytes, deadline, 'throw'));
      const now = this.backend.now();
      if (!found || isTooOld(this.settings, found.header, now)) return undefined;
      const left = withinAge(this.settings, found.header, timed?.ttl ?? null, now);
      return { ...found, key: this.naming.keyOf(found.key), left };
    } catch (error) {
      return this.refuse(id, error, onCorrupt, key);
    }
  }

  /** Those of the records whose keys begin with a prefix. */
  async prefixed<T extends { readonly id: string }>(records: readonly T[], prefix: string): Promise<readonly T[]> {
    const ids = records.map(({ id }) => id);
    const keys = await this.keysOf(ids, this.settings.onCorrupt, new Parts(this.deadline), () => undefined);
    return records.filter((_, i) => keys[i]?.startsWith(prefix));
  }

  /** Keys stand in ids, or else in the records themselves. */
  private async *named(options: ScanOptions | undefined): AsyncIterable<readonly { id: string; key: string }[]> {
    const { onCorrupt } = this.settings;
    const prefix = options?.prefix ?? '';
    const parts = new Parts(this.deadline);
    const sweep = new Sweep();
    for await (const ids of this.found(options, onCorrupt, sweep)) {
      const keys = await this.keysOf(ids, onCorrupt, parts, sweep.lost);
      yield ids.flatMap((id, i) => {
        const key = keys[i];
        return key?.startsWith(prefix) ? [{ id, key }] : [];
      });
    }
  }

  /** The keys of records, in the order of their ids. */
  private async keysOf(
    ids: readonly string[],
    onCorrupt: OnCorrupt,
    parts: Parts,
    onAbsent: (id: string) => void,
  ): Promise<(string | undefined)[]> {
    if (this.naming.isReadable) return ids.map((id) => this.naming.keyOf(id));
    const keys: (string | undefined)[] = [];
    const read = (id: string, deadline: number) => this.keyOf(id, onCorrupt, deadline, onAbsent);
    for await (const part of parts.read(ids, read)) keys.push(...part.map((found) => found?.key));
    return keys;
  }

  private async keyOf(
    id: string,
    onCorrupt: OnCorrupt,
    deadline: number,
    onAbsent: (id: string) => void,
  ): Promise<{ readonly key: string; readonly bytes: Buffer } | undefined> {
    try {
      const bytes = await this.backend.get(this.naming.recordKey(id), deadline);
      if (!bytes) onAbsent(id);
      return bytes && { key: this.naming.keyOf(await this.codec.key(id, bytes, deadline)), bytes };
    } catch (error) {
      return this.refuse(id, error, onCorrupt);
    }
  }

  /** The ids of records in batches; a prefix that ids do not show is left to the caller. */
  private async *found(
    { prefix = '', tag }: ScanOptions = {},
    onCorrupt: OnCorrupt,
    sweep: Sweep,
  ): AsyncIterable<readonly string[]> {
    const recordPrefix = this.naming.prefix + (this.naming.isReadable ? prefix : '');
    if (tag === undefined) {
      const batches = this.backend.scan(recordPrefix);
      for await (const batch of batches) yield batch.map((recordKey) => this.naming.idOf(recordKey));
      return;
    }
    const refuse = (id: string, error: CacheCorruptError) => this.refuse(id, error, onCorrupt);
    const tagId = this.naming.tagId(tag);
    const walk = (onGone: OnGone) => this.tags.pages(tagId, this.deadline, refuse, onGone);
    for await (const page of sweep.pages(walk, MOST_PASSES)) {
      yield sweep
        .fresh(page)
        .map(({ id }) => id)
        .filter((id) => this.naming.recordKey(id).startsWith(recordPrefix));
    }
  }

  /** One rule for all walks about what lies under the key of a record and is none, be it of another type. */
  private refuse(id: string, error: unknown, onCorrupt: OnCorrupt, key = this.naming.nameOf(id)): undefined {
    if (onCorrupt === 'skip' && error instanceof KeysUnavailableError) return undefined; // it cannot be read
    const isForeign = isOfAnotherType(error);
    if (!isForeign && !(error instanceof CacheCorruptError)) throw error;
    if (onCorrupt === 'skip') return undefined;
    const message = isForeign ? 'the value under the key has another type than a record' : error.message;
    return this.codec.corrupt(new CacheCorruptError(message, { key }), onCorrupt);
  }
}

/** @throws CacheArgumentError */
export function checkScan(options: ScanOptions | undefined, known: readonly string[] = SCAN_OPTIONS): void {
  assertOptions(options, known);
  const prefix: unknown = options?.prefix;
  if (prefix === undefined) return;
  if (typeof prefix !== 'string') throw new CacheArgumentError('prefix: must be a string');
  // Redis would be asked for what begins with U+FFFD, which other keys do.
  if (!prefix.isWellFormed())
    throw new CacheArgumentError('prefix: must be well-formed Unicode (it has a lone surrogate)');
}
