import { CacheUnavailableError } from '../redis-cache.errors.js';
import { now } from '../redis-cache.timers.js';
import type { Call } from './redis-command.js';

/** How long calls wait out an interruption, counted from its beginning, as a part of `timeout`. */
export const BLIP = 1 / 4;
/** The pauses before a refused or unsendable command is tried again, in ms: doubled each time, so that nobody is hammered. */
const FIRST_PAUSE = 25;
const LONGEST_PAUSE = 400;

/** How long to wait before a call is tried again that has failed so often before. */
export function pauseBefore(failures: number): number {
  return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures) * (0.75 + Math.random() / 4);
}

/**
 * Whether a call that failed may be sent again: nobody carried it out, and its interruption is a short one so far, or repeating it
 * is harmless and it is the first time.
 */
export function mayRepeat(
  error: unknown,
  { deadline, repeatable }: Call,
  timeout: number,
  repeated: boolean,
): error is CacheUnavailableError {
  if (!(error instanceof CacheUnavailableError) || error.reason !== 'disconnected') return false;
  if (now() + FIRST_PAUSE >= deadline) return false;
  return error.outcome === 'unknown' ? repeatable && !repeated : now() < deadline - timeout + timeout * BLIP;
}
