import type { CacheBackend, Expiry } from '../backend/cache-backend.js';
import { chunks, inTurn, together } from '../backend/writes-in-parts.js';
import type { RecordCodec } from '../record/codec.js';
import { newIncarnation, writeIsOverAt } from '../record/incarnation.js';
import type { RecordHeader } from '../record/layout.js';
import type { PutOptions } from '../redis-cache.options.js';
import { assertOptions } from './arguments.js';
import { isTooOld, ttlOf, withinAge } from './expiry.js';
import type { Keyspace } from './keyspace.js';
import type { StoreSettings } from './store-settings.js';
import { isRecord } from './tag-index.js';
import type { TagIndex } from './tag-index.js';

/** As many records as are written at once. */
const BATCH = 1000;

const PUT_OPTIONS: readonly (keyof PutOptions)[] = ['ttl', 'tags'];

/** A record that is ready to be written. */
export interface Draft {
  readonly key: string;
  readonly id: string;
  readonly header: RecordHeader;
  readonly bytes: Buffer;
}

/** How records are written that replace nothing, or whatever is there. */
export class Writes {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly keyspace: Keyspace,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
  ) {}

  /** Everything that can be wrong with a write is found here, before anything is sent; the value is stored as it is now. */
  async draft(key: string, value: unknown, options: PutOptions | undefined): Promise<Draft> {
    const id = this.keyspace.id(key);
    const { ttl = this.settings.ttl, tags = [] } = this.read(options);
    const header = { createdAt: this.backend.now(), ttl, tags, incarnation: this.incarnation(tags) };
    return { key, id, header, bytes: await this.codec.encode(key, id, value, header) };
  }

  /** The ttl and the ids of the tags that a writing call asks for, as far as it does. @throws CacheArgumentError */
  read(options: PutOptions | undefined): { ttl?: number | null; tags?: readonly string[] } {
    assertOptions(options, PUT_OPTIONS);
    return {
      ...(options?.ttl !== undefined && { ttl: ttlOf(this.settings, options.ttl) }),
      ...(options?.tags !== undefined && { tags: this.keyspace.tagIds(options.tags) }),
    };
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
    return { key, id, header: renewed, bytes: await this.codec.restamp(key, id, bytes, renewed) };
  }

  /** Writes a record, whatever was there. */
  async write(ready: Draft, deadline: number): Promise<void> {
    const { id, header, bytes } = await this.renew(ready);
    const expiry = await this.cover(id, header, deadline);
    const recordKey = this.keyspace.recordKey(id);
    if (header.tags.length === 0) return void (await this.backend.set(recordKey, bytes, expiry, deadline));
    const overwritten = await this.backend.swap(recordKey, bytes, expiry, deadline);
    await this.tags.leaveTold([{ id, bytes: overwritten }], deadline);
  }

  /** Writes records, a thousand at once; how many. */
  async writeAll(drafts: readonly Draft[], deadline: () => number): Promise<number> {
    return inTurn(chunks(drafts, BATCH), async (batch) => {
      const until = deadline();
      return (await together(batch.map((draft) => this.write(draft, until)))).length;
    });
  }

  /** Writes a record if there is none; `isWanted` is asked at the last moment. */
  async writeIfAbsent(ready: Draft, deadline: number, isWanted: () => boolean = () => true): Promise<boolean> {
    const { id, header, bytes } = await this.renew(ready);
    const expiry = await this.cover(id, header, deadline);
    const set = () => this.backend.setIfAbsent(this.keyspace.recordKey(id), bytes, expiry, deadline);
    const isWritten = isWanted() && ((await set()) || ((await this.removeTooOld(id, deadline)) && (await set())));
    if (!isWritten) await this.tags.leave([{ id, header }], deadline);
    return isWritten;
  }

  private cover(id: string, header: RecordHeader, deadline: number): Promise<Expiry> {
    return this.tags.cover(id, header, withinAge(this.settings, header, header.ttl, this.backend.now()), deadline);
  }

  /** A record that is too old is absent, but Redis does not know that. */
  private async removeTooOld(id: string, deadline: number): Promise<boolean> {
    if (this.settings.maxAge === undefined) return false;
    const [found] = await this.tags.heads([id], deadline, () => undefined);
    if (!found || !isRecord(found) || !isTooOld(this.settings, found.header, this.backend.now())) return false;
    const isGone = await this.backend.compareHead(this.keyspace.recordKey(id), found.head, 'delete', deadline);
    if (isGone) await this.tags.leave([found], deadline);
    return isGone;
  }
}
