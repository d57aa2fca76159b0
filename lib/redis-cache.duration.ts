import * as ms from 'ms';

// CommonJS: the function is the `default` of the namespace, or the namespace itself if a consumer's TypeScript transforms
// this file without `esModuleInterop`. A default import would be undefined there.
const readDuration = ms.default ?? ms;

/**
 * A number of milliseconds, or a text with a unit, as the `ms` package reads it: `'250ms'`, `'30m'`, `'2h'`, `'7 days'`.
 * From 1 ms to 100 years; a fraction of a millisecond is rounded up.
 *
 * @example
 * ```ts
 * const options: RedisCacheModuleOptions = { timeout: 500, ttl: '30m' };
 * ```
 */
export type Duration = number | string;

/** 100 years: later moments would not fit beside the "never expires" scores of a tag index. */
const LONGEST = 100 * 365.25 * 24 * 60 * 60 * 1000;

/** The whole milliseconds of a duration, rounded up; `undefined` for whatever is not one. */
export function toMilliseconds(duration: unknown): number | undefined {
  const parsed = typeof duration === 'string' ? parse(duration) : duration;
  if (typeof parsed !== 'number' || !(parsed > 0) || parsed > LONGEST) return undefined;
  return Math.ceil(parsed);
}

/**
 * The ttl that another package gives as a number of ms: it may have a fraction, may be over, which it is in a moment then, and may be
 * without an end (the year 9999, Infinity), which is taken for 100 years.
 */
export function boundedTtl(ttl: number): number {
  return Math.min(LONGEST, Math.max(1, Math.ceil(ttl)));
}

/** The problem with something of which {@link toMilliseconds} made `undefined`, and what to write instead. */
export function durationProblem(duration: unknown): string {
  if (typeof duration === 'string' && isUnitless(duration)) {
    return `needs a unit: '${duration.trim()}s' for seconds, '${duration.trim()}ms' for milliseconds`;
  }
  return `must be a number of milliseconds or a text with a unit such as '30m', from 1 ms to 100 years`;
}

/** An environment variable such as `TTL=3600`: meant as seconds by most, taken for milliseconds by `ms`. */
function isUnitless(text: string): boolean {
  return /^\s*\d*\.?\d+\s*$/.test(text);
}

function parse(text: string): unknown {
  if (isUnitless(text)) return undefined;
  try {
    // It types its argument as a template literal; at run time it answers undefined to what it cannot read.
    return readDuration(text as ms.StringValue);
  } catch {
    return undefined; // empty, or longer than 100 characters
  }
}
