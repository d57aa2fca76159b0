/** When something ends that is kept alive by its use: `idle` ms after the last use, and `absolute` ms after its beginning at the latest. */
export class Lifetime {
  constructor(
    readonly idle: number | null,
    readonly absolute: number | null,
    /** The clock of Redis, in ms since the epoch. */
    readonly now: () => number,
  ) {}

  /** The moment at which it ends; `null`: never. */
  endOf(begunAt: number, usedAt: number): number | null {
    const end = Math.min(usedAt + (this.idle ?? Infinity), begunAt + (this.absolute ?? Infinity));
    return end === Infinity ? null : end;
  }

  /** The ms left to live if it is used now, from 1 on; `null`: for ever. */
  lifeOf(begunAt: number): number | null {
    const now = this.now();
    const end = this.endOf(begunAt, now);
    return end === null ? null : Math.max(1, end - now);
  }

  /** The ms until `absolute` ends it, below 0 if it has; Infinity: it never does. */
  absoluteLeft(begunAt: number): number {
    return this.absolute === null ? Infinity : begunAt + this.absolute - this.now();
  }
}
