import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import type { Duration } from '../redis-cache.duration.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { RecordHeader } from '../record/layout.js';

/*
 * How long records live. Moments and ages are of Redis' clock, in ms; a ttl of `null` is endless. A record knows when it was
 * created and the ttl that its writing call said: an extension gives it that ttl again, and nothing gives it more than what
 * `maxAge` leaves, by which a record is judged on reading, too, since Redis may have been told otherwise (PERSIST, RESTORE).
 */

/** The options of a store that decide how long its records live. */
export interface ExpirySettings {
  readonly ttl: number | null;
  readonly sliding: boolean;
  readonly maxAge?: number | undefined;
}

/** A sliding read extends a record only when this part of its ttl has passed: one write in so many reads. */
const SLIDE_AFTER = 1 / 10;

/** The ttl of a record, from what the writing call says. @throws CacheArgumentError */
export function ttlOf({ ttl: usual }: ExpirySettings, ttl: Duration | null | undefined): number | null {
  if (ttl === undefined) return usual;
  if (ttl === null) return null;
  const parsed = toMilliseconds(ttl);
  if (parsed === undefined) throw new CacheArgumentError(`ttl: ${durationProblem(ttl)} (or null: never expires)`);
  return parsed;
}

/** The ttl that a touch gives; `undefined`: the record's own. @throws CacheArgumentError */
export function touchTtl(ttl: Duration | undefined): number | undefined {
  if (ttl === undefined) return undefined;
  const parsed = toMilliseconds(ttl);
  if (parsed === undefined) throw new CacheArgumentError(`ttl: ${durationProblem(ttl)}`);
  return parsed;
}

/**
 * Whether a record is as old as a record may get: it is absent then, whatever Redis says. One that was moved away, or not yet moved
 * for good, ends when its ttl has passed since its creation.
 */
export function isTooOld(settings: ExpirySettings, header: RecordHeader, now: number): boolean {
  return tooOldAt(settings, header) <= now;
}

/** From when on a record is too old to be read. */
export function tooOldAt({ maxAge = Infinity }: ExpirySettings, { createdAt, ttl, movedAway }: RecordHeader): number {
  return createdAt + Math.min(maxAge, movedAway ? (ttl ?? 0) : Infinity);
}

/** How long a record that is not too old may live from now on, if it is given a ttl. */
export function withinAge(
  { maxAge }: ExpirySettings,
  { createdAt }: RecordHeader,
  ttl: number | null,
  now: number,
): number | null {
  return maxAge === undefined ? ttl : Math.max(1, Math.min(createdAt + maxAge - now, ttl ?? Infinity));
}

/** In how many ms a record with `left` ms to live has used up so much of its ttl that a sliding read extends it. */
export function slideDueIn(settings: ExpirySettings, header: RecordHeader, left: number | null, now: number): number {
  const full = withinAge(settings, header, header.ttl, now);
  if (!settings.sliding || isFixed(header) || left === null || full === null) return Infinity;
  return left - full * (1 - SLIDE_AFTER);
}

/** Whether nothing moves the end of a record but a touch that says by how much. */
export function isFixed({ fixedEnd, movedAway }: RecordHeader): boolean {
  return fixedEnd === true || movedAway === true;
}
