import { performance } from 'node:perf_hooks';
import { nextTick as realNextTick } from 'node:process';
import * as timers from 'node:timers';

/*
 * The clocks and timers that deadlines, leases and batches rest on, taken when this module is loaded: fake timers that a test begins
 * later replace the globals, and a call that waits for a faked tick never settles.
 */

export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = timers;
export const nextTick = realNextTick;

const wallClock = Date.now.bind(Date);

/** The monotonic clock, in ms. It may stand still while the machine sleeps. */
export const now: () => number = performance.now.bind(performance);

/** The wall clock, in ms since the epoch. It goes on while the machine sleeps, and may be set. */
export const wallNow: () => number = wallClock;

/** Resolves after `ms`, or as soon as `signal` is aborted; never rejects. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}

/**
 * Waits for work that may never end: at most for `ms`, and no longer than until `signal`. The work itself goes on.
 *
 * @throws what the work throws; an error that says `problem` if the time is over
 */
export function bounded<T>(work: Promise<T>, ms: number, problem: string, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      reject(new Error(problem)); // does nothing if the work has settled
    };
    const timer = setTimeout(giveUp, ms);
    signal?.addEventListener('abort', giveUp);
    work.then(resolve, reject).finally(giveUp);
    if (signal?.aborted) giveUp();
  });
}
