/** What a part brings at most, as far as the part before tells, in bytes: a slow line carries it in time, and it is held until it was given. */
const PART = 128 * 1024;
/** So many records are read at once while nobody knows how large they are. */
const FIRST = 4;
/** A part has at most so many times as many records as the one before, whose records may have been the small ones. */
const GROWTH = 4;

/** Reads the records of a walk in parts that are bounded by bytes, each with a deadline of its own. */
export class Parts {
  private atOnce = FIRST;

  constructor(private readonly deadline: () => number) {}

  /** What `read` gives for each id, in their order, part by part. */
  async *read<T extends { readonly bytes: Buffer } | undefined>(
    ids: readonly string[],
    read: (id: string, deadline: number) => Promise<T>,
  ): AsyncIterable<readonly T[]> {
    for (let from = 0; from < ids.length;) {
      const part = ids.slice(from, from + this.atOnce);
      const deadline = this.deadline();
      const found = await Promise.all(part.map((id) => read(id, deadline)));
      const mean = found.reduce((sum, each) => sum + (each?.bytes.length ?? 0), 0) / part.length;
      this.atOnce = Math.max(1, Math.min(GROWTH * this.atOnce, Math.floor(PART / mean)));
      from += part.length;
      yield found;
    }
  }
}
