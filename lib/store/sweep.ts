import type { OnGone, RecordHead } from './tag-index.js';

/** Passes over an index after which a sweep ends, though others write under the tag all the time. */
const MOST_PASSES = 100;

/** What one pass over an index met. */
interface Pass {
  /** The members without a record: it is not yet written, or has gone, perhaps to another key. */
  readonly dead: Set<string>;
  /** Whether there was a record. */
  isLive: boolean;
  /** Whether a record, or an entry that may have been that of one, went while it was looked at. */
  isDisturbed: boolean;
}

/**
 * Passes over the index of a tag until no record that was there at the beginning can have escaped to another key by `move`: of a
 * walk that deletes, or that gives each key once.
 *
 * A move adds the entry of the new record, writes that, and then ends the old one. A pass that read its page of the index before,
 * and looks at the records after, sees neither. So there are further passes, until one meets nothing but records that it
 * deletes, or two meet only the same entries without a record: a move would have needed a new entry. (A move of a record
 * that has just been moved begins when that is written; its entry was dead in no two passes.)
 */
export class Sweep {
  private pass: Pass = { dead: new Set(), isLive: false, isDisturbed: false };
  private readonly given = new Set<string>();

  /** The pages of all passes, of which there are at most so many. */
  async *pages(
    walk: (onGone: OnGone) => AsyncIterable<readonly RecordHead[]>,
    most = MOST_PASSES,
  ): AsyncIterable<readonly RecordHead[]> {
    let before: Pass | undefined;
    let wasStable = false;
    for (let i = 0; i < most; i++) {
      this.pass = { dead: new Set(), isLive: false, isDisturbed: false };
      yield* walk(this.onGone);
      const { dead, isDisturbed, isLive } = this.pass;
      if (dead.size === 0 && !isDisturbed) return;
      const isStable = !isDisturbed && [...dead].every((member) => before?.dead.has(member));
      if (isStable && wasStable && !isLive) return;
      wasStable = isStable;
      before = this.pass;
    }
  }

  /** To be told of every page: the records that were to be deleted, and those that were, as they were at that moment. */
  deleted(records: readonly RecordHead[], gone: readonly RecordHead[]): void {
    this.pass.isLive ||= records.length > 0;
    // A record may have been moved, and left behind for a grace, between the look at it and its deletion.
    const isMoved = ({ header }: RecordHead) => header.movedAway;
    this.pass.isDisturbed ||= gone.length < records.length || records.some(isMoved) || gone.some(isMoved);
  }

  /** Those of a page that no page before had. */
  fresh(page: readonly RecordHead[]): readonly RecordHead[] {
    const fresh = page.filter(({ id }) => !this.given.has(id));
    for (const { id } of fresh) this.given.add(id);
    return fresh;
  }

  /** To be told of a record of a page that was gone when it was read. It may have been moved, and may be moved back. */
  readonly lost = (id: string): void => {
    this.given.delete(id);
    this.pass.isDisturbed = true;
  };

  private readonly onGone: OnGone = (member, isTrimmed) => {
    if (isTrimmed) this.pass.isDisturbed = true;
    else this.pass.dead.add(member);
  };
}
