import { performance } from 'node:perf_hooks';
import type { CacheBackend, Expiry, NextExpiry } from '../backend/cache-backend.js';
import { afterAPart, together } from '../backend/writes-in-parts.js';
import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import type { Duration } from '../redis-cache.duration.js';
import { CacheArgumentError, CacheUnavailableError } from '../redis-cache.errors.js';
import type { PutOptions } from '../redis-cache.options.js';
import { assertOptions } from './arguments.js';
import type { StoreSettings } from './store-settings.js';
import type { Keyspace } from './keyspace.js';
import type { RecordCodec } from '../record/codec.js';
import { newIncarnation } from '../record/layout.js';
import type { RecordHeader } from '../record/layout.js';
import type { TaggedRecord, TagIndex } from './tag-index.js';

/** A sliding read extends a record only when this part of its ttl has passed: one write in so many reads. */
const SLIDE_AFTER = 1 / 10;

const PUT_OPTIONS: readonly (keyof PutOptions)[] = ['ttl', 'tags'];

/** By so many ms indexes cover more than a running ttl, since the nodes of a Cluster differ in their clocks. */
const SPARE = 10_000;

/** A record that is ready to be written. */
interface Draft {
  readonly id: string;
  readonly bytes: Buffer;
  readonly ttl: number | null;
  readonly tags: readonly string[];
}

/** How records are written, extended and deleted, with their ttl, age and tags. */
export class RecordWriter {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly keyspace: Keyspace,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
  ) {}

  /** The moment by which a call that begins now must settle. */
  readonly deadline = (): number => performance.now() + this.settings.timeout;

  /** Everything that can be wrong with a write is found here, before anything is sent. */
  draft(key: string, value: unknown, options: PutOptions | undefined): Draft | Promise<Draft> {
    const id = this.keyspace.id(key);
    assertOptions(options, PUT_OPTIONS);
    const { maxAge } = this.settings;
    const tags = options?.tags === undefined ? [] : this.keyspace.tagIds(options.tags);
    const ttl = atMost(maxAge, this.ttlOf(options?.ttl));
    const incarnation = tags.length > 0 ? newIncarnation() : undefined;
    const bytes = this.codec.encode(key, id, value, { createdAt: Date.now(), ttl, tags, incarnation });
    const draft = (ready: Buffer): Draft => ({ id, bytes: ready, ttl, tags });
    return bytes instanceof Promise ? bytes.then(draft) : draft(bytes);
  }

  write({ id, bytes, ttl, tags }: Draft, deadline: number): Promise<unknown> {
    const set = (expiry: Expiry) => this.backend.set(this.keyspace.recordKey(id), bytes, expiry, deadline);
    const covered = this.tags.cover(id, tags, ttl, deadline);
    return covered instanceof Promise ? covered.then(set) : set(covered);
  }

  /** Writes all at once; how many. */
  async writeAll(drafts: readonly Draft[]): Promise<number> {
    const deadline = this.deadline();
    return (await together(drafts.map((draft) => this.write(draft, deadline)))).length;
  }

  /** `isWanted` is asked at the last moment. */
  async writeIfAbsent(
    { id, bytes, ttl, tags }: Draft,
    deadline: number,
    isWanted: () => boolean = () => true,
  ): Promise<boolean> {
    const expiry = await this.tags.cover(id, tags, ttl, deadline);
    return isWanted() && this.backend.setIfAbsent(this.keyspace.recordKey(id), bytes, expiry, deadline);
  }

  /**
   * Replaces the value of a record that is there, by compare-and-set on its bytes: a record that was deleted stays deleted,
   * and a change that another caller made in between is seen by `change`, which then runs again.
   * Age and, where `options` do not say otherwise, ttl and tags stay. The time `change` takes does not count.
   * Gives the new bytes; `undefined` if there is no record, or `change` gives nothing.
   */
  async rewrite(
    key: string,
    change: (bytes: Buffer) => Promise<{ readonly value: unknown } | undefined>,
    options: PutOptions | undefined,
    deadline: number,
  ): Promise<Buffer | undefined> {
    const id = this.keyspace.id(key);
    const recordKey = this.keyspace.recordKey(id);
    const newTags = options?.tags === undefined ? undefined : this.keyspace.tagIds(options.tags);
    const newTtl = options?.ttl === undefined ? undefined : this.ttlOf(options.ttl);
    for (;;) {
      const bytes = await this.backend.get(recordKey, deadline);
      const header = bytes && (await this.codec.header(id, bytes));
      if (!bytes || !header) return undefined;
      const begun = performance.now();
      const changed = await change(bytes);
      if (!changed) return undefined;
      const tags = newTags ?? header.tags;
      const ttl = newTtl === undefined ? undefined : this.withinAge(newTtl, header);
      const incarnation = tags.length > 0 ? (header.incarnation ?? newIncarnation()) : undefined;
      const ownTtl = ttl === undefined ? header.ttl : ttl;
      const next = await this.codec.encode(key, id, changed.value, { ...header, tags, ttl: ownTtl, incarnation });
      deadline += performance.now() - begun;
      const expiry = await this.nextExpiry(id, ttl, newTags, tags, deadline);
      if (expiry === undefined) return undefined;
      if (await this.backend.compareAndSet(recordKey, bytes, { set: next, expiry }, deadline)) return next;
      this.assertTimeLeft(deadline);
    }
  }

  /** Gives a record `ttl` ms (absent: its own, else the store's) from now on; `false` if it is gone. */
  async extend(id: string, ttl: number | undefined, deadline: number, known?: Buffer): Promise<boolean> {
    const recordKey = this.keyspace.recordKey(id);
    for (let bytes = known; ; bytes = undefined) {
      bytes ??= await this.backend.get(recordKey, deadline);
      const header = bytes && (await this.codec.header(id, bytes));
      if (!bytes || !header) return false;
      const left = this.withinAge(ttl ?? header.ttl, header);
      const expiry = await this.tags.cover(id, header.tags, left, deadline);
      if (await this.backend.compareAndSet(recordKey, bytes, { expire: expiry }, deadline)) return true;
      this.assertTimeLeft(deadline);
    }
  }

  /** Gives a record that was read with `left` ms to live its own ttl again, unless somebody has changed or extended it since. */
  async slide(id: string, bytes: Buffer, header: RecordHeader, left: number, deadline: number): Promise<void> {
    const expiry = await this.tags.cover(id, header.tags, this.withinAge(header.ttl, header), deadline);
    await this.backend.compareAndSet(this.keyspace.recordKey(id), bytes, { expire: expiry, ifLeft: left }, deadline);
  }

  /** In how many ms a record with `left` ms to live has used up so much of its ttl that a read extends it. */
  slideDueIn(header: RecordHeader, left: number | null): number {
    const full = this.withinAge(header.ttl, header);
    return left === null || full === null ? Infinity : left - full * (1 - SLIDE_AFTER);
  }

  /** Deletes records for as long as they have the tag, whoever rewrites them meanwhile; the number of those deleted. */
  async deleteTagged(records: readonly TaggedRecord[], tagId: string, deadline: number): Promise<number> {
    const done = await together(records.map((record) => this.deleteOneTagged(record, tagId, deadline)));
    const gone = records.filter((_, i) => done[i]).map(({ id, score }) => ({ member: id, score }));
    await this.tags.forget(tagId, gone, deadline).catch((error: unknown) => {
      throw afterAPart(error);
    });
    return gone.length;
  }

  private async deleteOneTagged(record: TaggedRecord, tagId: string, deadline: number): Promise<boolean> {
    const member = { member: record.id, score: record.score };
    for (let found: TaggedRecord | undefined = record; found;) {
      const recordKey = this.keyspace.recordKey(found.id);
      // Cut off on its way, it cannot be compared; of this store it is no readable record anyway.
      if (found.bytes.length > this.settings.maxBytes) return (await this.backend.delete([recordKey], deadline)) === 1;
      if (await this.backend.compareAndSet(recordKey, found.bytes, 'delete', deadline)) return true;
      this.assertTimeLeft(deadline);
      found = await this.tags.find(member, tagId, deadline);
    }
    return false;
  }

  /** @throws CacheArgumentError */
  checkOptions(options: PutOptions | undefined): void {
    assertOptions(options, PUT_OPTIONS);
    this.ttlOf(options?.ttl);
    if (options?.tags !== undefined) this.keyspace.tagIds(options.tags);
  }

  /** A ttl as a call gives it, in ms. @throws CacheArgumentError */
  ttlOf(ttl: PutOptions['ttl']): number | null {
    if (ttl === undefined) return this.settings.ttl;
    if (ttl === null) return null;
    const parsed = toMilliseconds(ttl);
    if (parsed === undefined) throw new CacheArgumentError(`ttl: ${durationProblem(ttl)} (or null: never expires)`);
    return parsed;
  }

  /** The ttl that a touch gives; `undefined`: the record's own. @throws CacheArgumentError */
  touchTtl(ttl: Duration | undefined): number | undefined {
    if (ttl === null) throw new CacheArgumentError(`ttl: ${durationProblem(ttl)}`);
    if (ttl !== undefined) return this.ttlOf(ttl) ?? undefined;
    if (this.settings.ttl !== null) return undefined;
    throw new CacheArgumentError('ttl: say how long the record is to live, since the store has no default ttl');
  }

  /** No extension goes beyond `maxAge` after the creation; at least 1 ms, since 0 would mean something else to Redis. */
  private withinAge(ttl: number | null, { createdAt }: RecordHeader): number | null {
    const { maxAge } = this.settings;
    return maxAge === undefined ? ttl : Math.max(1, atMost(createdAt + maxAge - Date.now(), ttl) ?? 1);
  }

  private async nextExpiry(
    id: string,
    ttl: number | null | undefined,
    newTags: readonly string[] | undefined,
    tags: readonly string[],
    deadline: number,
  ): Promise<NextExpiry | undefined> {
    if (ttl !== undefined) return this.tags.cover(id, tags, ttl, deadline);
    if (!newTags?.length) return { keepUpTo: Infinity };
    // New tags, running ttl: their indexes must cover it, however it is extended in between.
    const left = await this.backend.ttl(this.keyspace.recordKey(id), deadline);
    if (left === undefined) return undefined;
    const covered = await this.tags.cover(id, newTags, left === null ? null : left + SPARE, deadline);
    return { keepUpTo: covered !== 'never' && 'at' in covered ? covered.at : Infinity };
  }

  private assertTimeLeft(deadline: number): void {
    if (performance.now() < deadline) return;
    const message = 'other callers kept changing the record until the time was over';
    throw new CacheUnavailableError('timeout', 'not-sent', message);
  }
}

/** The shorter of two times, of which `null` is endless. */
function atMost(limit: number | undefined, ttl: number | null): number | null {
  return limit === undefined ? ttl : Math.min(limit, ttl ?? limit);
}
