import { NEVER } from '../backend/cache-backend.js';
import type { CacheBackend, Expiry, IndexMember } from '../backend/cache-backend.js';
import { CacheCommandError } from '../redis-cache.errors.js';
import type { Keyspace } from './keyspace.js';
import { decodeHeader } from '../record/layout.js';

/**
 * For so long a member that never expires stays in an index although its record is not there: its put may still be
 * between its two writes. Longer than the longest `timeout`. In ms.
 */
const SETTLED = 15 * 60 * 1000;

/** A record that has a tag. */
export interface TaggedRecord {
  readonly id: string;
  readonly bytes: Buffer;
  /** The score of its index entry when that was read. */
  readonly score: number;
}

/**
 * Which records have a tag. The invariant that "sign out everywhere" rests on:
 *
 * **A record never outlives its membership in the index of each tag in its header.** So a record's index entries are
 * written, with the same moment of expiry, before the record is; whoever extends a record extends its index entries
 * first, and then only if the record's bytes (so its tags) are still those it read; and a member leaves an index only when
 * its moment has passed. Where a writer dies or fails between the two, a stale member is left over: harmless,
 * since what an index names is looked at before it is believed.
 */
export class TagIndex {
  constructor(
    private readonly keyspace: Keyspace,
    private readonly backend: CacheBackend,
  ) {}

  /** Makes the indexes cover a record that is to live for `ttl` ms (`null`: for ever); returns the expiry it may have. */
  cover(id: string, tagIds: readonly string[], ttl: number | null, deadline: number): Expiry | Promise<Expiry> {
    if (tagIds.length === 0) return ttl === null ? 'never' : { in: ttl };
    return this.addToAll(id, tagIds, ttl, deadline);
  }

  private async addToAll(id: string, tagIds: readonly string[], ttl: number | null, deadline: number): Promise<Expiry> {
    const moments = await Promise.all(
      tagIds.map((tagId) => this.backend.addToIndex(this.keyspace.indexKey(tagId), id, ttl, deadline)),
    );
    return ttl === null ? 'never' : { at: Math.min(...moments) };
  }

  /** The records that have the tag now, in batches. */
  async *records(tagId: string, deadline: () => number): AsyncIterable<readonly TaggedRecord[]> {
    const index = this.keyspace.indexKey(tagId);
    for await (const members of this.backend.indexMembers(index)) {
      const found = await Promise.all(members.map((member) => this.find(member, tagId, deadline())));
      await this.forget(
        tagId,
        members.filter((_, i) => !found[i]),
        deadline(),
      );
      const records = found.filter((record) => record !== undefined);
      if (records.length > 0) yield records;
    }
  }

  /** Takes out members whose records are gone and that would stay for ever; the others leave by themselves. */
  async forget(tagId: string, members: readonly IndexMember[], deadline: number): Promise<void> {
    const stale = members.filter(isStale);
    if (stale.length > 0) await this.backend.removeFromIndex(this.keyspace.indexKey(tagId), stale, deadline);
  }

  /** The record, if it has the tag. */
  async find({ member: id, score }: IndexMember, tagId: string, deadline: number): Promise<TaggedRecord | undefined> {
    const bytes = await this.backend.get(this.keyspace.recordKey(id), deadline).catch((error: unknown) => {
      if (error instanceof CacheCommandError && error.reply === 'WRONGTYPE') return undefined; // nothing of ours
      throw error;
    });
    return bytes && hasTag(bytes, tagId) ? { id, bytes, score } : undefined;
  }
}

function hasTag(bytes: Buffer, tagId: string): boolean {
  try {
    return decodeHeader(bytes).tags.includes(tagId);
  } catch {
    return false; // foreign bytes have no tags
  }
}

function isStale({ score }: IndexMember): boolean {
  return score >= NEVER && score - NEVER < Date.now() - SETTLED;
}
