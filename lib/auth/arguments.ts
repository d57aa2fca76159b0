import { assertOptions } from '../redis-cache.arguments.js';
import { durationProblem, toMilliseconds } from '../redis-cache.duration.js';
import { CacheArgumentError } from '../redis-cache.errors.js';
import type { RegenerateOptions } from './session.js';

/** A text of the application's that becomes part of a key or a tag; what it says is not shown. @throws CacheArgumentError */
export function assertText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw new CacheArgumentError(`${name}: must be a string, not ${typeof value}`);
  if (value === '') throw new CacheArgumentError(`${name}: must not be empty`);
  if (Buffer.byteLength(value) > 512) throw new CacheArgumentError(`${name}: must not be longer than 512 bytes`);
  if (!value.isWellFormed()) throw new CacheArgumentError(`${name}: must be well-formed Unicode`);
}

/** What a list of devices shows: several things by name, none of which is taken for all. @throws CacheArgumentError */
export function assertAbout(about: unknown): void {
  if (about === undefined || (typeof about === 'object' && about !== null && !Array.isArray(about))) return;
  throw new CacheArgumentError(`about: must be an object, such as { device: 'Firefox on Linux' }`);
}

/** @throws CacheArgumentError */
export function assertRegenerate(options: RegenerateOptions<unknown>): void {
  assertOptions(options, ['subject', 'data', 'overlap']);
  const { subject, data, overlap } = options;
  if (subject !== undefined) assertText('subject', subject);
  if (overlap === undefined) return;
  if (toMilliseconds(overlap) === undefined) throw new CacheArgumentError(`overlap: ${durationProblem(overlap)}`);
  if (subject === undefined && data === undefined) return;
  throw new CacheArgumentError(
    'overlap: must not be given beside "subject" or "data": a token from before would read what came after the login',
  );
}
