import type { CacheBackend, Expiry } from '../backend/cache-backend.js';
import { CLOCK_SKEW } from '../backend/indexes.js';
import { inTurn, isUnknown, together } from '../backend/writes-in-parts.js';
import type { RecordCodec } from '../record/codec.js';
import { newIncarnation, writeIsOverAt } from '../record/incarnation.js';
import type { RecordHeader } from '../record/layout.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { PutOptions } from '../redis-cache.options.js';
import { isTooOld, withinAge } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import { mergePutOptions, readPutOptions } from './put-options.js';
import type { Given } from './put-options.js';
import type { StoreSettings } from './store-settings.js';
import { isRecord } from './tag-index.js';
import type { Gone, Limit, TagIndex } from './tag-index.js';

/** What the calls for many write at once: so many records, and of so many bytes as a slow line carries in time. */
const BATCH = 1000;
const BATCH_BYTES = 512 * 1024;

/** A record that is ready to be written. */
export interface Draft {
  /** The full key. */
  readonly key: string;
  readonly id: string;
  readonly header: RecordHeader;
  readonly bytes: Buffer;
  /** The moment at which it expires, if the call named one. */
  readonly end?: number | undefined;
  readonly limit?: Limit | undefined;
}

/** How records are written that replace nothing, or whatever is there. */
export class Writes {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
  ) {}

  /** Everything that can be wrong with a write is found here, before anything is sent; the value is stored as it is now. */
  async draft(key: string, value: unknown, asked: Given): Promise<Draft> {
    const id = this.naming.id(key);
    const fullKey = this.naming.fullKey(key);
    const { ttl = this.settings.ttl, end, tags = [], limit } = asked;
    const fixedEnd = end !== undefined;
    const header = { createdAt: this.backend.now(), ttl, fixedEnd, tags, incarnation: this.incarnation(tags) };
    return { key: fullKey, id, header, end, limit, bytes: await this.codec.encode(fullKey, id, value, header) };
  }

  /** The drafts of many records, each with options of its own, which go before those of the call. Of equal keys the last counts. */
  async drafts(
    records: readonly (readonly [key: string, value: unknown, options?: PutOptions])[],
    options: PutOptions | undefined,
  ): Promise<Draft[]> {
    this.read(options); // says what is wrong with them even if there are no records
    // Async, or a record that is refused at once would leave the rejections of the others to nobody.
    const draft = async (record: (typeof records)[number]) => {
      if (!Array.isArray(record))
        throw new CacheArgumentError('records: must be arrays of a key, a value and, if need be, options');
      const [key, value, own] = record;
      return this.draft(key, value, this.read(mergePutOptions(options, own)));
    };
    const drafts = await Promise.all(records.map(draft));
    return [...new Map(drafts.map((each) => [each.id, each])).values()];
  }

  /** What the options of a writing call say: read once, when it is called, whatever the caller does with them later. @throws CacheArgumentError */
  read(options: PutOptions | undefined): Given {
    return readPutOptions(options, this.settings, this.naming, this.backend.now());
  }

  /** The same for a call that makes no record. @throws CacheArgumentError */
  readWithoutLimit(options: PutOptions | undefined): Given {
    const asked = this.read(options);
    if (!asked.limit) return asked;
    const message = 'limit: is for calls that make records: put, putMany, putIfAbsent, getOrPut and move';
    throw new CacheArgumentError(message);
  }

  /** An incarnation for a record with these tags whose write begins within `timeout` from now. */
  incarnation(tags: readonly string[]): string | undefined {
    return tags.length > 0 ? newIncarnation(this.backend.now() + 2 * this.settings.timeout) : undefined;
  }

  /** A draft whose schema took its time, or that waited for others, gets an incarnation that lasts as long as its write. */
  async renew(draft: Draft): Promise<Draft> {
    const { key, id, header, bytes } = draft;
    const { incarnation } = header;
    if (incarnation === undefined) return draft;
    if (writeIsOverAt(incarnation) >= this.backend.now() + this.settings.timeout) return draft;
    const renewed = { ...header, incarnation: this.incarnation(header.tags) };
    return { ...draft, header: renewed, bytes: await this.codec.restamp(key, id, bytes, renewed) };
  }

  /** Writes a record, whatever was there. */
  write(ready: Draft, deadline: number): Promise<unknown> {
    if (ready.header.tags.length > 0) return this.writeTagged(ready, deadline);
    const { id, header, end, bytes } = ready;
    return this.backend.set(this.naming.recordKey(id), bytes, this.expiry(header, end), deadline);
  }

  private async writeTagged(ready: Draft, deadline: number): Promise<void> {
    const draft = await this.renew(ready);
    const { id, bytes } = draft;
    const { generation } = this.backend;
    const swap = (expiry: Expiry) => this.backend.swap(this.naming.recordKey(id), bytes, expiry, deadline);
    const overwritten = await this.indexed(draft, deadline, swap);
    await this.tags.leaveTold([{ id, bytes: overwritten }], generation, deadline);
  }

  /** Writes many, some at once; how many. */
  async writeAll(drafts: readonly Draft[], deadline: () => number): Promise<number> {
    return inTurn(batches(drafts), async (batch) => {
      const until = deadline();
      return (await together(batch.map((draft) => this.write(draft, until)))).length;
    });
  }

  /** Writes a record if there is none; `isWanted` is asked at the last moment. */
  async writeIfAbsent(ready: Draft, deadline: number, isWanted: () => boolean = () => true): Promise<boolean> {
    const draft = await this.renew(ready);
    const { id, header, bytes } = draft;
    const { generation } = this.backend;
    const set = (expiry: Expiry) => this.setIfAbsent(id, bytes, expiry, deadline, isWanted);
    const isWritten = await this.indexed(draft, deadline, set);
    if (!isWritten) await this.tags.leave([{ id, header }], generation, deadline);
    return isWritten;
  }

  /** Writes a record that its indexes cover, each of which has room for it. */
  private async indexed<T>(
    { id, header, end, limit }: Draft,
    deadline: number,
    write: (expiry: Expiry) => Promise<T>,
  ): Promise<T> {
    await this.admit(id, header, limit, deadline);
    return this.backingOut(id, header, deadline, (mayBeWritten) => {
      const make = (expiry: Expiry) => {
        mayBeWritten();
        return write(expiry);
      };
      return this.tags.covering(() => this.cover(id, header, end, deadline), make);
    });
  }

  /**
   * Does what makes a record. If that fails, and the record certainly is not there, its indexes forget it at once; if nobody knows,
   * they do so once they are looked through.
   *
   * @param make - calls `mayBeWritten` before it sends the record
   */
  async backingOut<T>(
    id: string,
    header: RecordHeader,
    deadline: number,
    make: (mayBeWritten: () => void) => Promise<T>,
  ): Promise<T> {
    const { generation } = this.backend;
    let mayBeWritten = false;
    try {
      return await make(() => (mayBeWritten = true));
    } catch (error) {
      if (!mayBeWritten || !isUnknown(error)) await this.tags.leave([{ id, header }], generation, deadline);
      throw error;
    }
  }

  /** Sets the bytes of a record that the indexes cover already, if there is none, and if it is wanted when it is sent. */
  async setIfAbsent(
    id: string,
    bytes: Buffer,
    expiry: Expiry,
    deadline: number,
    isWanted: () => boolean = () => true,
  ): Promise<boolean> {
    const set = () => this.backend.setIfAbsent(this.naming.recordKey(id), bytes, expiry, deadline);
    if (!isWanted()) return false;
    return (await set()) || ((await this.removeAbsent(id, deadline)) && isWanted() && (await set()));
  }

  /** Rejects if the tag of a limit has no room for the record. @throws CacheLimitError */
  async admit(
    id: string,
    header: RecordHeader,
    limit: Limit | undefined,
    deadline: number,
    before?: Gone,
  ): Promise<void> {
    if (limit) await this.tags.admit(id, header, limit, 2 * this.settings.timeout, deadline, before);
  }

  /**
   * Makes the indexes cover a record that is to live for its own ttl, or until `end`; returns the expiry it may have.
   *
   * @param before - the record in whose place it comes
   */
  async cover(
    id: string,
    header: RecordHeader,
    end: number | undefined,
    deadline: number,
    before?: Gone,
  ): Promise<Expiry> {
    const life = this.life(header);
    if (end === undefined) return this.tags.cover(id, header, life, deadline, before);
    // A moment is exact, and the clocks of a Cluster's nodes differ.
    await this.tags.cover(id, header, life === null ? null : life + CLOCK_SKEW, deadline, before);
    return this.expiry(header, end);
  }

  /** The expiry of a record that no index has to cover (any more). */
  private expiry(header: RecordHeader, end: number | undefined): Expiry {
    if (end !== undefined) return { at: Math.min(end, header.createdAt + (this.settings.maxAge ?? Infinity)) };
    const life = this.life(header);
    return life === null ? 'never' : { in: life };
  }

  /** How long a record may live from now on. */
  private life(header: RecordHeader): number | null {
    return withinAge(this.settings, header, header.ttl, this.backend.now());
  }

  /** What a read calls absent, and Redis does not: a record that is too old or, where that counts as absent, corrupt. */
  private removeAbsent(id: string, deadline: number): Promise<boolean> {
    return this.settings.onCorrupt === 'miss' ? this.removeUnreadable(id, deadline) : this.removeTooOld(id, deadline);
  }

  private async removeUnreadable(id: string, deadline: number): Promise<boolean> {
    const { generation } = this.backend;
    const recordKey = this.naming.recordKey(id);
    const bytes = await this.backend.get(recordKey, deadline);
    // A copy, since a serializer may give its bytes out as they are. A schema has to be done by the deadline: the indexes cover no longer.
    const found = bytes && (await this.codec.decode(id, Buffer.from(bytes), deadline));
    if (!bytes || (found && !isTooOld(this.settings, found.header, this.backend.now()))) return false;
    const isGone = await this.backend.compareAndSet(recordKey, bytes, 'delete', deadline);
    if (isGone) await this.tags.leaveTold([{ id, bytes }], generation, deadline);
    return isGone;
  }

  private async removeTooOld(id: string, deadline: number): Promise<boolean> {
    const { generation } = this.backend;
    const [found] = await this.tags.heads([id], deadline, () => undefined);
    if (!found || !isRecord(found) || !isTooOld(this.settings, found.header, this.backend.now())) return false;
    const isGone = await this.backend.compareHead(this.naming.recordKey(id), found.head, 'delete', deadline);
    if (isGone) await this.tags.leave([found], generation, deadline);
    return isGone;
  }
}

function* batches(drafts: readonly Draft[]): Iterable<readonly Draft[]> {
  let [batch, size]: [Draft[], number] = [[], 0];
  for (const draft of drafts) {
    size += draft.bytes.length;
    if (batch.length > 0 && (batch.length === BATCH || size > BATCH_BYTES)) {
      yield batch;
      [batch, size] = [[], draft.bytes.length];
    }
    batch.push(draft);
  }
  if (batch.length > 0) yield batch;
}
