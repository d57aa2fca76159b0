import { CacheArgumentError } from '../redis-cache.errors.js';
import type { PutOptions, TagLimit } from '../redis-cache.options.js';
import { assertOptions } from '../redis-cache.arguments.js';
import { ttlOf } from './expiry.js';
import type { ExpirySettings } from './expiry.js';
import type { KeyNaming } from './key-naming.js';
import type { Limit } from './tag-index.js';

const PUT_OPTIONS: readonly (keyof PutOptions)[] = ['ttl', 'expiresAt', 'tags', 'limit'];

/** As long as the longest duration, so that a moment fits wherever a ttl does. In ms. */
const LONGEST = 100 * 365.25 * 24 * 60 * 60 * 1000;

/** The rest of what a writing call asks for, as far as it does. */
export interface Given {
  /** For how long; `null`: for ever. */
  readonly ttl?: number | null | undefined;
  /** Until when, in ms since the epoch, whatever the ttl; only beside a `ttl`. */
  readonly end?: number | undefined;
  /** The ids of the tags. */
  readonly tags?: readonly string[] | undefined;
  readonly limit?: Limit | undefined;
}

const NOTHING: Given = {};

/** What the options of a call say. @throws CacheArgumentError */
export function readPutOptions(
  options: PutOptions | undefined,
  settings: ExpirySettings,
  naming: KeyNaming,
  now: number,
): Given {
  if (options === undefined) return NOTHING;
  assertOptions(options, PUT_OPTIONS);
  const { ttl, expiresAt, tags, limit } = options;
  if (ttl !== undefined && expiresAt !== undefined) {
    throw new CacheArgumentError('expiresAt: must not be given beside a ttl; leave out one of them');
  }
  const end = expiresAt === undefined ? undefined : momentOf(expiresAt, now);
  const life = ttl === undefined ? undefined : ttlOf(settings, ttl);
  return {
    // A header has no ttl below 1 ms; the record is gone by then.
    ttl: end === undefined ? life : Math.max(1, end - now),
    end,
    tags: tags === undefined ? undefined : naming.tagIds(tags),
    limit: limit === undefined ? undefined : readLimit(limit, naming, tags),
  };
}

/** `tags`: of the record, as far as the call gives them. @throws CacheArgumentError */
export function readLimit(limit: TagLimit, naming: KeyNaming, tags: readonly string[] = []): Limit {
  assertOptions(limit, ['tag', 'records'], 'limit');
  const { tag, records } = limit;
  if (!tags.includes(tag)) throw new CacheArgumentError('limit: its "tag" must be one of "tags"');
  if (Number.isSafeInteger(records) && records >= 1) return { tagId: naming.tagId(tag), most: records };
  throw new CacheArgumentError('limit: its "records" must be a whole number from 1 on');
}

/** The options of one record of many: they go before those of the call, one by one. */
export function mergePutOptions(call: PutOptions | undefined, own: PutOptions | undefined): PutOptions | undefined {
  if (own === undefined) return call;
  if (call === undefined) return own;
  assertOptions(own, PUT_OPTIONS);
  const said = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) as PutOptions;
  // Both say how long the record lives.
  const isTimed = 'ttl' in said || 'expiresAt' in said;
  return { ...call, ...(isTimed && { ttl: undefined, expiresAt: undefined }), ...said };
}

function momentOf(expiresAt: unknown, now: number): number {
  const moment = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt;
  // A Date may lie in any past; a number that lies so far back is none of a moment.
  const earliest = expiresAt instanceof Date ? -Infinity : -LONGEST;
  if (typeof moment === 'number' && moment > earliest && moment <= now + LONGEST) {
    if (typeof expiresAt !== 'number' || moment < 1e9 || moment > 1e11) return Math.max(1, Math.ceil(moment)); // Redis refuses 0
    throw new CacheArgumentError('expiresAt: looks like seconds (such as the `exp` of a JWT); give 1000 times as much');
  }
  throw new CacheArgumentError(
    'expiresAt: must be a Date or a number of milliseconds since 1970, at most 100 years from now',
  );
}
