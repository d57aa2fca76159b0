import type { SessionData } from 'express-session';
import { CacheArgumentError } from '../redis-cache.errors.js';
import { assertOptions } from '../redis-cache.arguments.js';
import { RedisCacheStore } from '../store/redis-cache.store.js';

/** Options of the store for sessions. */
export interface RedisCacheSessionStoreOptions {
  /** `'connect-redis'`: the records of connect-redis 7 to 10 under the same keys are read as well, and rewritten when a session is saved. Default: none. */
  legacy?: 'connect-redis';
}

/** The records of a store as sessions, with `legacy` those of connect-redis as well. @throws CacheArgumentError for any other option */
export function sessionsOf(
  store: RedisCacheStore,
  options: RedisCacheSessionStoreOptions,
): RedisCacheStore<SessionData> {
  assertOptions(options, ['legacy']);
  const { legacy } = options;
  if (legacy === undefined) return store as RedisCacheStore<SessionData>;
  if (legacy !== 'connect-redis') throw new CacheArgumentError("legacy: must be 'connect-redis'");
  return new RedisCacheStore<SessionData>(RedisCacheStore.operationsOf(store).reading(readConnectRedis));
}

/** A session as connect-redis stores it: JSON, with the end of the cookie as a text. `undefined`: the bytes are none. It may throw. */
function readConnectRedis(bytes: Buffer): SessionData | undefined {
  const parsed: unknown = JSON.parse(bytes.toString('utf8'));
  if (!isSession(parsed)) return undefined;
  const { cookie } = parsed;
  if (cookie.expires) cookie.expires = new Date(cookie.expires);
  return parsed;
}

function isSession(parsed: unknown): parsed is SessionData {
  if (typeof parsed !== 'object' || parsed === null || !('cookie' in parsed)) return false;
  return typeof parsed.cookie === 'object' && parsed.cookie !== null;
}
