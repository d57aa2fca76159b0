import * as ms from 'ms';

// CommonJS: the function is the `default` of the namespace, or the namespace itself if a consumer's TypeScript transforms
// this file without `esModuleInterop`. A default import would be undefined there.
const readDuration = ms.default ?? ms;

/**
 * A number of milliseconds, or a text that the `ms` package reads: `'250ms'`, `'30m'`, `'2h'`, `'7 days'`.
 * At least 1 ms after rounding up, at most 100 years.
 */
export type Duration = number | string;

/** 100 years: later moments would not fit beside the "never expires" scores of a tag index. */
const LONGEST = 100 * 365.25 * 24 * 60 * 60 * 1000;

/** Said by every error about a duration. */
export const DURATION_RULE = `must be a number of milliseconds or a text such as '30m', from 1 ms to 100 years`;

/** The whole milliseconds of a duration, rounded up; `undefined` for whatever is not one. */
export function toMilliseconds(duration: unknown): number | undefined {
  const parsed = typeof duration === 'string' ? parse(duration) : duration;
  if (typeof parsed !== 'number' || !(parsed > 0) || parsed > LONGEST) return undefined;
  return Math.ceil(parsed);
}

function parse(text: string): unknown {
  try {
    // It types its argument as a template literal; at run time it answers undefined to what it cannot read.
    return readDuration(text as ms.StringValue);
  } catch {
    return undefined; // empty, or longer than 100 characters
  }
}
