/** In ms. */
export const SHORTEST_PAUSE = 25;
/** So many attempts to connect come quickly, since most interruptions are short. */
const QUICK_ATTEMPTS = 8;

/** How long to wait before a call is tried again that has failed so often before: 19–25 ms, then doubling up to 400 ms. */
export function pauseBefore(failures: number): number {
  return Math.min(400, SHORTEST_PAUSE * 2 ** failures) * (0.75 + Math.random() / 4);
}

/** How long to wait before connecting for the nth time: 25–50 ms, from the ninth on doubling up to 2 s, so that instances do not come in step. */
export function pauseBeforeAttempt(nth: number): number {
  if (nth <= QUICK_ATTEMPTS) return SHORTEST_PAUSE * (1 + Math.random());
  return Math.min(2000, 50 * 2 ** (nth - QUICK_ATTEMPTS)) * (0.5 + Math.random() / 2);
}
