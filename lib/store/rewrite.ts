import type { CacheBackend, NextExpiry } from '../backend/cache-backend.js';
import { CLOCK_SKEW } from '../backend/indexes.js';
import type { RecordCodec } from '../record/codec.js';
import { headOf } from '../record/layout.js';
import type { RecordHeader } from '../record/layout.js';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { now } from '../redis-cache.timers.js';
import { isFixed, isTooOld, withinAge } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import type { Given } from './put-options.js';
import type { StoreSettings } from './store-settings.js';
import type { RecordHead, TagIndex } from './tag-index.js';
import type { Draft, Writes } from './writes.js';

/** What a record that is there is to become: a value, or that of a record that was encoded before; absent: nothing. */
export type Change = (bytes: Buffer) => Promise<{ readonly value: unknown } | { readonly record: Buffer } | undefined>;

/**
 * How records that are there are changed, by compare-and-set: a record that was deleted stays deleted, and what another caller
 * made of it in between is looked at again.
 */
export class Rewrites {
  constructor(
    private readonly settings: StoreSettings,
    private readonly backend: CacheBackend,
    private readonly naming: KeyNaming,
    private readonly codec: RecordCodec,
    private readonly tags: TagIndex,
    private readonly writes: Writes,
  ) {}

  /**
   * Replaces the value of a record. Age and, where nothing else is `asked` for, ttl and tags stay. The time `change` takes
   * does not count. Gives the new bytes; `undefined` if there is no record, or `change` gives nothing.
   */
  async rewrite(key: string, change: Change, asked: Given, deadline: number): Promise<Buffer | undefined> {
    const id = this.naming.id(key);
    const recordKey = this.naming.recordKey(id);
    for (let covered: RecordHeader | undefined; ;) {
      const { generation } = this.backend;
      const bytes = await this.backend.get(recordKey, deadline);
      const header = bytes && (await this.codec.header(id, bytes, deadline));
      if (covered) await this.uncover(id, covered, header, generation, deadline);
      if (!bytes || !header || isTooOld(this.settings, header, this.backend.now())) {
        this.backend.forget(recordKey); // Redis may not have told of it yet
        return undefined;
      }
      const given = header.movedAway ? { tags: asked.tags } : asked; // nothing gives it a longer life
      const begun = now();
      const changed = await change(bytes);
      if (!changed) return undefined;
      const draft = await this.nextDraft(this.naming.fullKey(key), id, header, changed, given);
      deadline += now() - begun;
      covered = draft.header;
      const next = covered;
      const cover = () => this.nextExpiry(id, header, next, given, deadline);
      const set = async (expiry: NextExpiry | undefined) =>
        expiry !== undefined && this.backend.compareAndSet(recordKey, bytes, { set: draft.bytes, expiry }, deadline);
      if (await this.tags.covering(cover, set)) {
        await this.uncover(id, header, next, generation, deadline);
        return draft.bytes;
      }
      assertTimeLeft(deadline);
    }
  }

  /** Gives a record `ttl` ms (absent: its own) from now on; `false` if it is gone. */
  async extend(id: string, ttl: number | undefined, deadline: number, known?: RecordHead): Promise<boolean> {
    for (let found = known, covered: RecordHeader | undefined; ; found = undefined) {
      const { generation } = this.backend;
      found ??= await this.head(id, deadline);
      if (covered) await this.uncover(id, covered, found?.header, generation, deadline);
      const moment = this.backend.now();
      if (!found || isTooOld(this.settings, found.header, moment)) {
        this.backend.forget(this.naming.recordKey(id));
        return false;
      }
      const { header } = found;
      if (header.movedAway || (ttl === undefined && isFixed(header))) return true;
      const life = withinAge(this.settings, header, ttl === undefined ? header.ttl : ttl, moment);
      if (await this.lengthened(found, life, undefined, deadline)) return true;
      assertTimeLeft(deadline);
      covered = header;
    }
  }

  /** Gives a record that was read with `left` ms to live its own ttl again, unless somebody has changed or extended it since. */
  async slide(record: RecordHead, left: number, deadline: number): Promise<void> {
    const { id, header } = record;
    const life = withinAge(this.settings, header, header.ttl, this.backend.now());
    if ((await this.lengthened(record, life, left, deadline)) || header.tags.length === 0) return;
    const { generation } = this.backend;
    await this.uncover(id, header, (await this.head(id, deadline))?.header, generation, deadline);
  }

  /** Gives a record `life` ms, unless it has changed, or been extended since it had `ifLeft` ms to live; whether it did. */
  private lengthened(
    { id, header, head }: RecordHead,
    life: number | null,
    ifLeft: number | undefined,
    deadline: number,
  ): Promise<boolean> {
    return this.tags.covering(
      () => this.tags.cover(id, header, life, deadline),
      (expire) => this.backend.compareHead(this.naming.recordKey(id), head, { expire, ifLeft }, deadline),
    );
  }

  /** What there is under an id. It is read whole, since what cannot be read must not live longer; its value is not made. */
  private async head(id: string, deadline: number): Promise<RecordHead | undefined> {
    const bytes = await this.backend.get(this.naming.recordKey(id), deadline);
    const header = bytes && (await this.codec.header(id, bytes, deadline));
    return header && { id, header, head: headOf(bytes) };
  }

  /** An incarnation that Redis has, or had, and has no more leaves its indexes. */
  private async uncover(
    id: string,
    before: RecordHeader,
    after: RecordHeader | undefined,
    generation: number,
    deadline: number,
  ): Promise<void> {
    if (before.incarnation === undefined || before.incarnation === after?.incarnation) return;
    await this.tags.leave([{ id, header: before }], generation, deadline);
  }

  private async nextDraft(
    key: string,
    id: string,
    header: RecordHeader,
    changed: { readonly value: unknown } | { readonly record: Buffer },
    { ttl, end, tags }: Given,
  ): Promise<Draft> {
    const life = ttl === undefined ? {} : { ttl, fixedEnd: end !== undefined };
    const next = { ...header, ...life, ...(tags && { tags, incarnation: this.writes.incarnation(tags) }) };
    const bytes = await ('record' in changed
      ? this.codec.restamp(key, id, changed.record, next)
      : this.codec.encode(key, id, changed.value, next));
    return tags ? this.writes.renew({ key, id, header: next, bytes }) : { key, id, header: next, bytes };
  }

  /** The expiry that a record gets, once its indexes cover it; `undefined`: it is gone. */
  private async nextExpiry(
    id: string,
    before: RecordHeader,
    next: RecordHeader,
    given: Given,
    deadline: number,
  ): Promise<NextExpiry | undefined> {
    const place = { id, header: before };
    if (given.ttl !== undefined) return this.writes.cover(id, next, given.end, deadline, place);
    if (!given.tags?.length) return { keepUpTo: Infinity };
    // New tags, running ttl: their indexes must cover it, however it is extended in between.
    const left = await this.backend.ttl(this.naming.recordKey(id), deadline);
    if (left === undefined) return undefined;
    const covered = await this.tags.cover(id, next, left === null ? null : left + CLOCK_SKEW, deadline, place);
    return { keepUpTo: covered !== 'never' && 'at' in covered ? covered.at : Infinity };
  }
}

/** @throws CacheUnavailableError */
export function assertTimeLeft(deadline: number): void {
  if (now() < deadline) return;
  const message = 'other callers kept changing the record until the time was over';
  throw new CacheUnavailableError('timeout', 'not-sent', message);
}
