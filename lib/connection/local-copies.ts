/**
 * How far the invalidations of what was read over one link have come in: all of them up to these moments have been delivered.
 * `-Infinity`: nothing is known (any more). Renewed several times within a lease.
 */
export interface Coverage {
  /** By the monotonic clock. */
  readonly provenAt: number;
  /** By the wall clock, which goes on while the machine sleeps. */
  readonly provenAtByWall: number;
}

/** Somebody who keeps local copies of records. */
export interface LocalCopies {
  /** The record under a Redis key has changed, or may have: there must be no copy of it, nor of a read that is on its way. */
  forget(key: string): void;
  /** The same of all records that were read under this coverage; without one, of all. */
  forgetAll(coverage?: Coverage): void;
}
