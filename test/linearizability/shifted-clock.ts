// Imported before anything else, so that nobody keeps a clock that cannot be shifted.
const RealDate = Date;
let shift = 0;

class ShiftedDate extends RealDate {
  static override now(): number {
    return RealDate.now() + shift;
  }

  constructor(...args: [] | [number | string | Date]) {
    if (args.length === 0) super(ShiftedDate.now());
    else super(...args);
  }
}

globalThis.Date = ShiftedDate as DateConstructor;

/** Sets this process' wall clock off by so many ms, forward or (negative) back. */
export function shiftClock(ms: number): void {
  shift = ms;
}
