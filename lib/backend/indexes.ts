/**
 * By so much, in ms, the clocks of a Cluster's nodes may differ without harm. An index and a record that it names may lie on two of
 * them: what is to outlive the record is kept for so much longer, and what is judged to be over waits for so much longer.
 */
export const CLOCK_SKEW = 10_000;

/** A member of an index. */
export interface IndexMember {
  readonly member: string;
  /** The moment of Redis' clock (ms since the epoch) until which it is promised to stay; Infinity: for ever. */
  readonly until: number;
}

/** What a member is added with. */
export interface Membership {
  /** For how long it stays, in ms from now; `null`: for ever. */
  readonly ttl: number | null;
  /**
   * The member whose place it takes: a walk that has not yet come to that one will come to the new one, which ranks behind
   * it, and may stay for as long.
   */
  readonly successorOf?: string | undefined;
}

/**
 * Indexes, a part of the port with the same rules. An index is a set of members, each with a moment until which it stays.
 * It lives as long as its last member. No command on one takes more than 2 ms of Redis' time, however large it is: members
 * whose moment has passed are not given any more, and are trimmed in bounded steps as others are added, removed or walked over
 * (on a Cluster `CLOCK_SKEW` later than their moment).
 */
export interface IndexBackend {
  /**
   * Adds a member, and returns the moment until which it is promised to stay (Infinity: for ever). A member that is there
   * already stays for the longer of both times.
   */
  addToIndex(index: string, member: string, membership: Membership, deadline: number): Promise<number>;

  /**
   * Adds a member only if the index has fewer than `most` others then, in one atomic step; whether it did. The member whose place
   * the new one takes is none of the others.
   */
  admitToIndex(index: string, member: string, membership: Membership, most: number, deadline: number): Promise<boolean>;

  /**
   * Removes those of the members that are there.
   *
   * @param generation - of the backend, when it was asked about, or to delete, what the members are of. If it has changed, nothing is
   *   removed: a server that has come since may have the records that the one before did not have (any more)
   */
  removeFromIndex(index: string, members: readonly string[], generation: number, deadline: number): Promise<void>;

  /**
   * The members in pages of at most some hundred, those that go first in front. A member that is there during the whole walk
   * is given at least once.
   */
  indexMembers(index: string): AsyncIterable<readonly IndexMember[]>;
}
