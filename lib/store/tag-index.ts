import type { CacheBackend, Expiry } from '../backend/cache-backend.js';
import { CLOCK_SKEW } from '../backend/indexes.js';
import {
  afterAPart,
  CacheCommandError,
  CacheCorruptError,
  CacheLimitError,
  RedisCacheError,
} from '../redis-cache.errors.js';
import { INCARNATION_LETTERS, writeIsOverAt } from '../record/incarnation.js';
import { decodeHeader, headLength, taggedHead } from '../record/layout.js';
import type { RecordHeader } from '../record/layout.js';
import type { KeyNaming } from './key-naming.js';

/** No write takes longer than the longest `timeout`, twice. In ms. */
const LONGEST_WRITE = 20 * 60_000;

/** A record, without its value. Nothing proves the header: in an encrypted store, opening the record does. */
export interface RecordHead {
  readonly id: string;
  readonly header: RecordHeader;
  /** The bytes that say so. */
  readonly head: Buffer;
}

/** What there is under an id; `undefined`: nothing. */
export type Found = RecordHead | 'unreadable' | undefined;

/** A record that is gone, or that an index names and that will not be. */
export type Gone = Pick<RecordHead, 'id' | 'header'>;

/** The most records that may have a tag. */
export interface Limit {
  readonly tagId: string;
  readonly most: number;
}

/** Is told of what lies under the key of a record and is none. */
export type OnUnreadable = (id: string, error: CacheCorruptError) => void;

/** Is told of a member whose record is not there, and whether it was trimmed. */
export type OnGone = (member: string, isTrimmed: boolean) => void;

/**
 * Which records have a tag. The invariant that "sign out everywhere" rests on:
 *
 * **A record never outlives its membership in the index of each tag in its header.** So a record's index entries are
 * written, with the same moment of expiry, before the record is; whoever extends a record extends its index entries first, and
 * then only if the record's head (so its tags) is still the one it read.
 *
 * A membership belongs to one incarnation of a record: its member is the incarnation, then the id. A put, and whoever gives
 * other tags, makes a new incarnation; touch, replace and update keep it. So whoever deletes or overwrites a record removes
 * exactly the entries of that one, after the record is gone, even while the next one is between its two writes. What is left over
 * (of records that expired or were evicted, of writers that died) is looked at before it is believed, and trimmed by walks
 * once the write that it was made for is over, which the incarnation tells.
 *
 * The tag index of a scope sees the records of the scope alone: the store that it belongs to may give its tags to others, too.
 */
export class TagIndex {
  constructor(
    private readonly naming: KeyNaming,
    private readonly backend: CacheBackend,
  ) {}

  /**
   * Makes the indexes cover a record that is to live for `ttl` ms (`null`: for ever); returns the expiry it may have.
   *
   * @param before - the record in whose place it comes, so that no walk that is on its way misses both of them
   */
  async cover(id: string, header: RecordHeader, ttl: number | null, deadline: number, before?: Gone): Promise<Expiry> {
    if (header.tags.length === 0) return ttl === null ? 'never' : { in: ttl };
    const successorOf = before && before.header.tags.length > 0 ? memberOf(before.id, before.header) : undefined;
    const member = memberOf(id, header);
    const add = (tagId: string) =>
      this.backend.addToIndex(this.naming.indexKey(tagId), member, { ttl, successorOf }, deadline);
    const moments = await Promise.all(header.tags.map(add));
    return ttl === null ? 'never' : { at: Math.min(...moments) };
  }

  /**
   * Does what makes or extends a record, once its indexes cover it. Where a server was replaced meanwhile, its successor may have got
   * the record, and never the entries that the one before acknowledged: they are made again before anybody is told of the record.
   */
  async covering<E, T>(cover: () => Promise<E>, write: (expiry: E) => Promise<T>): Promise<T> {
    let { generation } = this.backend;
    const written = await write(await cover());
    while (generation !== this.backend.generation) {
      generation = this.backend.generation;
      await cover().catch((error: unknown) => {
        throw afterAPart(error);
      });
    }
    return written;
  }

  /**
   * Makes an entry for a record in the index of a tag if fewer than `most` others are there. It stays for `ttl` ms: until then
   * the record has to be covered. If there are as many, their records are looked for, and entries without one are trimmed.
   *
   * @param before - the record in whose place it comes, which is none of the others
   * @throws CacheLimitError; then there is no entry
   */
  async admit(
    id: string,
    header: RecordHeader,
    { tagId, most }: Limit,
    ttl: number,
    deadline: number,
    before?: Gone,
  ): Promise<void> {
    const index = this.naming.indexKey(tagId);
    const successorOf = before?.header.tags.includes(tagId) ? memberOf(before.id, before.header) : undefined;
    const admit = () => this.backend.admitToIndex(index, memberOf(id, header), { ttl, successorOf }, most, deadline);
    if (await admit()) return;
    let others = 0;
    const deadlineOfAll = () => deadline;
    for await (const page of this.records(tagId, deadlineOfAll, () => undefined)) {
      others += page.filter((record) => record.id !== before?.id).length;
      if (others >= most) throw new CacheLimitError(most);
    }
    if (!(await admit())) throw new CacheLimitError(most);
  }

  /** As `leave`, for records of which the first bytes are told, at least the head. Those without tags are in no index. */
  async leaveTold(
    told: readonly { id: string; bytes: Buffer | undefined }[],
    generation: number,
    deadline: number,
  ): Promise<void> {
    const gone = told.flatMap(({ id, bytes }) => {
      try {
        return bytes && taggedHead(bytes) ? [recordHead(id, bytes)] : [];
      } catch {
        return []; // damaged: nobody can tell its tags
      }
    });
    if (gone.length > 0) await this.leave(gone, generation, deadline);
  }

  /**
   * Takes records that are gone out of their indexes. Whatever becomes of that, the records are gone: a failure is none of the
   * call, and what is left over is trimmed later.
   *
   * @param generation - of the backend, before they were found to be gone, or deleted
   */
  async leave(gone: readonly Gone[], generation: number, deadline: number): Promise<void> {
    const members = new Map<string, string[]>();
    for (const { id, header } of gone) {
      for (const tagId of header.tags) {
        const index = this.naming.indexKey(tagId);
        const some = members.get(index);
        if (some) some.push(memberOf(id, header));
        else members.set(index, [memberOf(id, header)]);
      }
    }
    const removals = Array.from(members, ([index, some]) =>
      this.backend.removeFromIndex(index, some, generation, deadline),
    );
    for (const removal of await Promise.allSettled(removals)) {
      if (removal.status === 'rejected' && !(removal.reason instanceof RedisCacheError)) throw removal.reason;
    }
  }

  /** The records that have the tag now, in pages, each key once. What is left over of others is trimmed on the way. */
  async *records(
    tagId: string,
    deadline: () => number,
    onUnreadable: OnUnreadable,
  ): AsyncIterable<readonly RecordHead[]> {
    const given = new Set<string>();
    for await (const page of this.pages(tagId, deadline, onUnreadable)) {
      const fresh = page.filter(({ id }) => !given.has(id));
      for (const { id } of fresh) given.add(id);
      if (fresh.length > 0) yield fresh;
    }
  }

  /**
   * As `records`, but each key once a page only: there may be another record under it since the page before.
   *
   * @param onGone - is told of each member whose record is not there (any more), or was moved to another key
   */
  async *pages(
    tagId: string,
    deadline: () => number,
    onUnreadable: OnUnreadable,
    onGone?: OnGone,
  ): AsyncIterable<readonly RecordHead[]> {
    for await (const found of this.walk(this.naming.indexKey(tagId), deadline, onUnreadable, onGone)) {
      // By its id, not by its member: the record may have been given new tags since the page was read.
      const live = found.filter(({ header }) => header.tags.includes(tagId));
      if (live.length > 0) yield [...new Map(live.map((record) => [record.id, record])).values()];
    }
  }

  /** Trims an index, given its Redis key, of what is left over. A key of another type is none of ours, and stays. */
  async trim(index: string, deadline: () => number): Promise<void> {
    try {
      for await (const _ of this.walk(index, deadline, () => undefined)) void _;
    } catch (error) {
      if (!isOfAnotherType(error)) throw error;
    }
  }

  /** What lies under the ids that an index names, page by page, each of which is then trimmed. */
  private async *walk(
    index: string,
    deadline: () => number,
    onUnreadable: OnUnreadable,
    onGone: OnGone = () => undefined,
  ): AsyncIterable<readonly RecordHead[]> {
    for await (const page of this.backend.indexMembers(index)) {
      const members = page.map(({ member }) => member).filter((member) => this.naming.holds(idOf(member)));
      const { generation } = this.backend;
      const found = await this.heads(members.map(idOf), deadline(), onUnreadable);
      const isOf = (record: RecordHead | undefined, member: string) =>
        record && memberOf(record.id, record.header) === member;
      const gone = members.filter((member, i) => {
        const record = found[i];
        return record !== 'unreadable' && !isOf(record, member);
      });
      const over = gone.filter((member) => this.isOver(member));
      const isTrimmed = await this.remove(index, over, generation, deadline());
      for (const member of gone) onGone(member, isTrimmed && this.isOver(member));
      yield found.filter(isRecord);
    }
  }

  /** Removes members; `false`: Redis refused. Whoever may not write, or cannot just now, may list. */
  private async remove(
    index: string,
    members: readonly string[],
    generation: number,
    deadline: number,
  ): Promise<boolean> {
    if (members.length === 0) return true;
    try {
      await this.backend.removeFromIndex(index, members, generation, deadline);
      return true;
    } catch (error) {
      if (!(error instanceof RedisCacheError)) throw error;
      return false;
    }
  }

  /** The record, if it has the tag now. */
  async find(id: string, tagId: string, deadline: number): Promise<RecordHead | undefined> {
    const [found] = await this.heads([id], deadline, () => undefined);
    return found && isRecord(found) && found.header.tags.includes(tagId) ? found : undefined;
  }

  /** What there is under ids, in their order. */
  async heads(ids: readonly string[], deadline: number, onUnreadable: OnUnreadable): Promise<Found[]> {
    const heads = await this.backend.heads(
      ids.map((id) => this.naming.recordKey(id)),
      deadline,
    );
    return heads.map((bytes, i) => {
      const id = ids[i] ?? '';
      try {
        return bytes && recordHead(id, bytes);
      } catch (error) {
        if (!(error instanceof CacheCorruptError)) throw error;
        onUnreadable(id, error);
        return 'unreadable';
      }
    });
  }

  /** Whether the write that a member was made for is over, so that a record that is not there will not come. */
  private isOver(member: string): boolean {
    const over = writeIsOverAt(member.slice(0, INCARNATION_LETTERS));
    const now = this.backend.now();
    // What claims to be over later than any write that has begun is none of ours.
    return over + CLOCK_SKEW < now || over > now + LONGEST_WRITE + CLOCK_SKEW;
  }
}

/** @throws CacheCorruptError */
export function recordHead(id: string, bytes: Buffer): RecordHead {
  return { id, header: decodeHeader(bytes), head: bytes.subarray(0, headLength(bytes)) };
}

/** Whether an error says that what lies under a Redis key is none of ours. */
export function isOfAnotherType(error: unknown): error is CacheCommandError {
  return error instanceof CacheCommandError && error.reply === 'WRONGTYPE';
}

export function isRecord(found: Found): found is RecordHead {
  return found !== undefined && found !== 'unreadable';
}

function idOf(member: string): string {
  return member.slice(INCARNATION_LETTERS);
}

function memberOf(id: string, { incarnation = '' }: RecordHeader): string {
  return incarnation + id;
}
