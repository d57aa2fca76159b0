/** When something ends that is kept alive by its use: `idle` ms after the last use, and `absolute` ms after its beginning at the latest. */
export class Lifetime {
  constructor(
    readonly idle: number | null,
    readonly absolute: number | null,
  ) {}

  /** The moment at which it ends; `null`: never. */
  endOf(begunAt: number, usedAt: number): number | null {
    const ends = [
      ...(this.idle === null ? [] : [usedAt + this.idle]),
      ...(this.absolute === null ? [] : [begunAt + this.absolute]),
    ];
    return ends.length === 0 ? null : Math.min(...ends);
  }

  /** The ms left to live at `now`, from 1 on, if it is used now; `null`: for ever. */
  lifeAt(begunAt: number, now: number): number | null {
    const end = this.endOf(begunAt, now);
    return end === null ? null : Math.max(1, end - now);
  }
}
