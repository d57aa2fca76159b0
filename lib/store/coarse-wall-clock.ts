import { wallNow } from '../redis-cache.timers.js';

/** In ms. */
const STEP = 1;

/**
 * The wall clock, read at most once in a ms of the monotonic one. Read for each of them, near hits take 1.42 times
 * as long (bench/micro.mjs).
 *
 * The step hides no sleep of the machine: that stops processes, and devices after them, before it stops the monotonic clock, and
 * starts them again in the opposite order, which takes longer.
 */
export class CoarseWallClock {
  private wall = -Infinity;
  private readAt = -Infinity;

  /** @param moment - the present one, of `now()` */
  at(moment: number): number {
    if (moment - this.readAt >= STEP) {
      this.readAt = moment;
      this.wall = wallNow();
    }
    return this.wall;
  }
}
