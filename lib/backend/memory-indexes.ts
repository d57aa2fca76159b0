import type { IndexMember, Membership } from './indexes.js';

/** Members of one page. */
const PAGE = 500;

interface Index {
  readonly members: Map<string, number>;
  /** Members whose moment has passed are looked for when there are so many. */
  trimAt: number;
}

/** Indexes in this process: members with the moment until which they stay. */
export class MemoryIndexes {
  private readonly indexes = new Map<string, Index>();

  add(key: string, member: string, { ttl, successorOf = '' }: Membership): number {
    const index = this.indexes.get(key) ?? { members: new Map<string, number>(), trimAt: PAGE };
    this.indexes.set(key, index);
    const { members } = index;
    const until = ttl === null ? Infinity : Date.now() + ttl;
    members.set(member, Math.max(until, members.get(member) ?? 0, members.get(successorOf) ?? 0));
    if (members.size >= index.trimAt) {
      trim(members);
      index.trimAt = Math.max(PAGE, 2 * members.size); // so that a member is looked at about once for each that is added
    }
    return until;
  }

  /** Whether there are fewer than `most` members beside the one whose place a new one takes. */
  hasRoom(key: string, { successorOf = '' }: Membership, most: number): boolean {
    const { members } = this.indexes.get(key) ?? {};
    const isFull = () => members !== undefined && members.size - (members.has(successorOf) ? 1 : 0) >= most;
    if (members && isFull()) trim(members);
    return !isFull();
  }

  remove(key: string, gone: readonly string[]): void {
    const members = this.indexes.get(key)?.members;
    for (const member of gone) members?.delete(member);
    if (members?.size === 0) this.indexes.delete(key);
  }

  *pages(key: string): Iterable<readonly IndexMember[]> {
    const members = this.indexes.get(key)?.members ?? new Map<string, number>();
    trim(members);
    let page: IndexMember[] = [];
    // A Map comes to what is added meanwhile, too.
    for (const [member, until] of members) {
      if (page.push({ member, until }) < PAGE) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  keys(): Iterable<string> {
    return this.indexes.keys();
  }

  has(key: string): boolean {
    return this.indexes.has(key);
  }

  delete(key: string): boolean {
    return this.indexes.delete(key);
  }

  /** Forgets what has passed. */
  sweep(): void {
    for (const [key, { members }] of this.indexes) {
      trim(members);
      if (members.size === 0) this.indexes.delete(key);
    }
  }
}

function trim(members: Map<string, number>): void {
  for (const [member, until] of members) if (until <= Date.now()) members.delete(member);
}
