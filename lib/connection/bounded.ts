import { clearTimeout, setTimeout } from '../redis-cache.timers.js';

/**
 * Waits for work that may never end: at most for `ms`, and no longer than until `signal`. The work itself goes on.
 *
 * @throws what the work throws; an error that says `problem` if the time is over
 */
export function bounded<T>(work: Promise<T>, ms: number, signal: AbortSignal, problem: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      reject(new Error(problem)); // does nothing if the work has settled
    };
    const timer = setTimeout(giveUp, ms);
    signal.addEventListener('abort', giveUp);
    work.then(resolve, reject).finally(giveUp);
    if (signal.aborted) giveUp();
  });
}
