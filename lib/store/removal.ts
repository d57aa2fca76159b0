import type { CacheBackend } from '../backend/cache-backend.js';
import { chunks, inTurn, together } from '../backend/writes-in-parts.js';
import { CacheArgumentError, CacheCorruptError } from '../redis-cache.errors.js';
import type { DeleteByTagOptions, ScanOptions } from '../redis-cache.options.js';
import { now } from '../redis-cache.timers.js';
import { assertBoolean, assertOptions } from '../redis-cache.arguments.js';
import type { KeyNaming, Kind } from './key-naming.js';
import { assertTimeLeft } from './rewrite.js';
import { Sweep } from './sweep.js';
import { isOfAnotherType, isRecord } from './tag-index.js';
import type { RecordHead, TagIndex } from './tag-index.js';
import { checkScan } from './walks.js';
import type { Walks } from './walks.js';

/** As many records as are deleted, or looked at, at once. */
const BATCH = 500;

/** Those of a page of records that are to be deleted. */
type IsMeant = (page: readonly RecordHead[]) => readonly RecordHead[] | Promise<readonly RecordHead[]>;

/** How records are deleted: the records first, then their entries in indexes. */
export class Removal {
  constructor(
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly tags: TagIndex,
    private readonly walks: Walks,
    private readonly deadline: () => number,
    /** Where others than plain records are read: opens one, `undefined` if it counts as absent. */
    private readonly open?: (id: string, bytes: Buffer, deadline: number) => Promise<unknown>,
  ) {}

  /** Deletes records; the number of those that were there. */
  async records(ids: readonly string[]): Promise<number> {
    return inTurn(chunks(ids, BATCH), (batch) => this.batch(batch));
  }

  /** Reads a record and deletes it; of many callers one gets it. */
  async take(id: string): Promise<Buffer | undefined> {
    const deadline = this.deadline();
    const { generation } = this.backend;
    const recordKey = this.naming.recordKey(id);
    const bytes = await (this.open ? this.takeOpened(id, this.open, deadline) : this.backend.take(recordKey, deadline));
    await this.tags.leaveTold([{ id, bytes }], generation, deadline);
    return bytes;
  }

  /** A record that cannot be opened stays: the key that is missing here may be elsewhere. */
  private async takeOpened(
    id: string,
    open: (id: string, bytes: Buffer, deadline: number) => Promise<unknown>,
    deadline: number,
  ): Promise<Buffer | undefined> {
    const recordKey = this.naming.recordKey(id);
    for (;;) {
      const bytes = await this.backend.get(recordKey, deadline);
      const begun = now();
      if (!bytes || (await open(id, Buffer.from(bytes), deadline)) === undefined) return undefined;
      deadline += now() - begun; // a schema takes its own time
      if (await this.backend.compareAndSet(recordKey, bytes, 'delete', deadline)) return bytes;
      assertTimeLeft(deadline);
    }
  }

  /**
   * Deletes every record that has the tag, page by page; `thorough`: also those that no index names any more, since Redis evicted
   * or lost it. `isMeant` says which of a page. The number of them.
   *
   * @throws CacheCorruptError once all others are gone, if there was something that could not be parsed
   */
  async tagged(tag: string, options: DeleteByTagOptions = {}, isMeant: IsMeant = (page) => page): Promise<number> {
    const tagId = this.naming.tagId(tag);
    assertOptions(options, ['thorough']);
    const { thorough = false } = options;
    assertBoolean('thorough', thorough);
    const unreadable = new Map<string, CacheCorruptError>();
    const note = (id: string, error: CacheCorruptError) => unreadable.set(id, error);
    const sweep = new Sweep();
    const indexed = () => sweep.pages((onGone) => this.tags.pages(tagId, this.deadline, note, onGone));
    let isIndex = true;
    const ifIndex = () => unlessOfAnotherType(indexed(), () => (isIndex = false));
    const walk = () => inOrder(thorough ? [ifIndex(), this.inNamespace(tagId, note), ifIndex()] : [indexed()]);
    const deleted = await inTurn(this.again(walk), async (page) => {
      const meant = await isMeant(page);
      const gone = await this.taggedPage(meant, tagId);
      sweep.deleted(meant, gone);
      return gone.length;
    });
    const [first] = unreadable;
    if (!isIndex)
      throw new CacheCorruptError(`${deleted} records were deleted, but the index of the tag has another type`);
    if (!first) return deleted;
    const [id, { message }] = first;
    throw new CacheCorruptError(
      `${deleted} records were deleted, but ${unreadable.size} could not be looked at: ${message}`,
      { key: this.naming.nameOf(id) },
    );
  }

  /**
   * Deletes what the options name: the records with a tag, or records and counters by a prefix, or all of them and what is left
   * over in indexes. Where keys are hashed, a prefix finds no counters. The number of records.
   */
  async clear(options: ScanOptions = {}): Promise<number> {
    checkScan(options);
    const unset = Object.entries(options).find(([, value]) => value === undefined);
    if (unset) throw new CacheArgumentError(`${unset[0]}: must not be undefined; leave it out to clear all`);
    const { prefix = '', tag } = options;
    if (tag !== undefined) {
      return this.tagged(tag, {}, (page) => this.walks.prefixed(page, prefix));
    }
    if (prefix === '') return this.all(this.naming.prefixes());
    if (this.naming.isReadable) return this.all(this.naming.prefixes(prefix, ['record', 'counter']));
    return inTurn(
      this.again(() => this.walks.ids(options)),
      (ids) => this.batch(ids),
    );
  }

  private async all(prefixes: readonly string[]): Promise<number> {
    return inTurn(
      this.again(() => this.backend.scan(...prefixes)),
      async (redisKeys) => {
        const of = (kind: Kind) => redisKeys.filter((redisKey) => this.naming.kindOf(redisKey) === kind);
        const [deleted = 0] = await together<unknown>([
          this.batch(of('record').map((recordKey) => this.naming.idOf(recordKey))),
          this.backend.delete(of('counter'), this.deadline()),
          ...of('index').map((index) => this.tags.trim(index, this.deadline)),
        ]);
        return Number(deleted);
      },
    );
  }

  /** A walk, again until no server is replaced during it: what one server deleted, its successor may still have. */
  private async *again<T>(walk: () => AsyncIterable<T>): AsyncIterable<T> {
    for (let generation: number | undefined; generation !== this.backend.generation;) {
      ({ generation } = this.backend);
      yield* walk();
    }
  }

  private async batch(ids: readonly string[]): Promise<number> {
    const deadline = this.deadline();
    const { generation } = this.backend;
    const told = await this.backend.delete(
      ids.map((id) => this.naming.recordKey(id)),
      deadline,
    );
    await this.tags.leaveTold(
      ids.map((id, i) => ({ id, bytes: told[i] })),
      generation,
      deadline,
    );
    return told.filter((head) => head !== undefined).length;
  }

  /** Deletes records of a page for as long as they have the tag; those that it deleted, as they were then. */
  private async taggedPage(page: readonly RecordHead[], tagId: string): Promise<RecordHead[]> {
    const deadline = this.deadline();
    const { generation } = this.backend;
    const gone = await together(page.map((record) => this.taggedOne(record, tagId, deadline)));
    const deleted = gone.filter((record) => record !== undefined);
    await this.tags.leave(deleted, generation, deadline);
    return deleted;
  }

  /** Deletes a record for as long as it has the tag, whoever rewrites it meanwhile. */
  private async taggedOne(record: RecordHead, tagId: string, deadline: number): Promise<RecordHead | undefined> {
    for (let found: RecordHead | undefined = record; found;) {
      const recordKey = this.naming.recordKey(found.id);
      if (await this.backend.compareHead(recordKey, found.head, 'delete', deadline)) return found;
      assertTimeLeft(deadline);
      found = await this.tags.find(found.id, tagId, deadline);
    }
    return undefined;
  }

  /** The records of the namespace that have the tag. */
  private async *inNamespace(
    tagId: string,
    note: (id: string, error: CacheCorruptError) => void,
  ): AsyncIterable<readonly RecordHead[]> {
    for await (const recordKeys of this.backend.scan(this.naming.prefix)) {
      const ids = recordKeys.map((recordKey) => this.naming.idOf(recordKey));
      const heads = await this.tags.heads(ids, this.deadline(), note);
      yield heads.filter(isRecord).filter(({ header }) => header.tags.includes(tagId));
    }
  }
}

async function* unlessOfAnotherType<T>(walk: AsyncIterable<T>, note: () => void): AsyncIterable<T> {
  try {
    yield* walk;
  } catch (error) {
    if (!isOfAnotherType(error)) throw error;
    note();
  }
}

async function* inOrder<T>(walks: readonly AsyncIterable<T>[]): AsyncIterable<T> {
  for (const walk of walks) yield* walk;
}
