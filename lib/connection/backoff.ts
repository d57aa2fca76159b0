/** A connection that was lost sooner than that proves nothing: a balancer with a dead server behind it gives such. In ms. */
const STABLE_AFTER = 100;
/** So many attempts come quickly, since most interruptions are short. */
const QUICK_ATTEMPTS = 8;
const LONGEST_PAUSE = 2000;

/** How long to wait before the next attempt to connect. */
export class Backoff {
  private attempts = 0;

  /** A connection lasted for so many ms. */
  lasted(ms: number): void {
    if (ms >= STABLE_AFTER) this.attempts = 0;
  }

  /** 25–50 ms for the first eight, then doubling up to 2 s, with jitter so that instances do not come in step. */
  next(): number {
    const attempt = this.attempts++;
    if (attempt < QUICK_ATTEMPTS) return 25 + Math.random() * 25;
    return Math.min(LONGEST_PAUSE, 50 * 2 ** (attempt - QUICK_ATTEMPTS + 1)) * (0.5 + Math.random() / 2);
  }
}
