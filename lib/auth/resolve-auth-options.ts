import { hkdfSync } from 'node:crypto';
import { CacheConfigError } from '../redis-cache.errors.js';
import type { CacheStoreOptions, EncryptionKey } from '../redis-cache.options.js';
import { distinct, parseKey } from '../record/key-ring.js';
import type { KeyRing } from '../record/key-ring.js';
import { assertKnown, duration, ensure, isObject, isStandardSchema, isWholeNumber } from '../resolve-options.js';
import type { AttemptLimiterSettings } from './attempt-limiter.js';
import type {
  AttemptLimiterOptions,
  OneTimeCodesOptions,
  RedisCacheAuthOptions,
  RefreshTokensOptions,
  SessionsOptions,
} from './auth.options.js';
import { DataSchema } from './data-schema.js';
import { Lifetime } from './lifetime.js';
import type { OneTimeCodesSettings } from './one-time-codes.js';
import type { RefreshTokensSettings } from './refresh-tokens.js';
import type { SessionsSettings } from './sessions.js';
import type { TokenSource } from './token-source.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const ALL: Record<keyof RedisCacheAuthOptions, true> = {
  sessions: true,
  refreshTokens: true,
  codes: true,
  attempts: true,
  connection: true,
};
const SESSIONS: Record<keyof SessionsOptions, true> = {
  namespace: true,
  name: true,
  idle: true,
  absolute: true,
  limit: true,
  schema: true,
  nearCache: true,
  encryption: true,
  from: true,
  recheck: true,
};
const REFRESH_TOKENS: Record<keyof RefreshTokensOptions, true> = {
  namespace: true,
  name: true,
  idle: true,
  absolute: true,
  retryWindow: true,
  schema: true,
};
const CODES: Record<keyof OneTimeCodesOptions, true> = {
  namespace: true,
  name: true,
  ttl: true,
  length: true,
  alphabet: true,
  attempts: true,
  budget: true,
  secret: true,
};
const ATTEMPTS: Record<keyof AttemptLimiterOptions, true> = {
  namespace: true,
  name: true,
  limit: true,
  window: true,
  lockout: true,
};

/** Letters that are not taken for one another or for a digit: without I and O. */
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZ';
const ALPHABETS: Readonly<Record<string, string>> = { digits: '0123456789', letters: LETTERS };

/** What tells the operator of something at boot. */
type Warn = (message: string) => void;

/** A service's store, and its settings. */
export interface Resolved<Settings> {
  readonly store: CacheStoreOptions;
  readonly settings: Settings;
}

/** @throws CacheConfigError for a service that there is not */
export function assertServices(options: RedisCacheAuthOptions): void {
  assertKnown(options, ALL);
}

/** @throws CacheConfigError */
export function resolveSessions(options: SessionsOptions, now: () => number): Resolved<SessionsSettings> {
  const lifetime = resolveLifetime('sessions', options, SESSIONS, now);
  const { namespace, limit, nearCache, encryption } = options;
  if (limit !== undefined) {
    ensure(isObject(limit), 'sessions.limit', `must be { sessions, when: 'evict-oldest' | 'refuse' }`);
    assertKnown(limit, { sessions: true, when: true }, 'sessions.limit.');
    ensure(isWholeNumber(limit.sessions, 1000), 'sessions.limit.sessions', 'must be a whole number from 1 to 1000');
    const isKnown = limit.when === 'evict-oldest' || limit.when === 'refuse';
    ensure(isKnown, 'sessions.limit.when', `must be 'evict-oldest' or 'refuse'`);
  }
  const store = {
    ...storeOf(namespace, lifetime),
    ...(nearCache !== undefined && { nearCache }),
    ...(encryption !== undefined && { encryption }),
  };
  const recheck = duration('sessions.recheck', options.recheck, HOUR) ?? 30_000;
  ensure(recheck >= 1000, 'sessions.recheck', 'must be from 1 second to 1 hour');
  const schema = resolveSchema('sessions', options.schema);
  const isWatched = nearCache !== undefined && nearCache !== false;
  const from = resolveTokenSource(options.from);
  return { store, settings: { lifetime, limit, schema, from, recheck, isWatched } };
}

/** A cookie's name: a token of RFC 9110. */
const COOKIE_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

function resolveTokenSource(from: SessionsOptions['from'] = 'bearer'): TokenSource {
  if (from === 'bearer' || typeof from === 'function') return from;
  ensure(isObject(from), 'sessions.from', `must be 'bearer', { cookie, origins } or a function of the context`);
  assertKnown(from, { cookie: true, origins: true }, 'sessions.from.');
  const isName = typeof from.cookie === 'string' && COOKIE_NAME.test(from.cookie);
  ensure(isName, 'sessions.from.cookie', `must be the name of a cookie, such as '__Host-session'`);
  const { origins = [] } = from;
  const areOrigins = Array.isArray(origins) && origins.every(isOrigin);
  ensure(areOrigins, 'sessions.from.origins', `must be an array of origins, such as 'https://admin.example.com'`);
  return { cookie: from.cookie, origins };
}

/** As browsers send it: no path, no port that the scheme has anyway. */
function isOrigin(text: unknown): boolean {
  return typeof text === 'string' && URL.canParse(text) && new URL(text).origin === text;
}

/** @throws CacheConfigError */
export function resolveRefreshTokens(
  options: RefreshTokensOptions,
  now: () => number,
  warn: Warn,
): Resolved<RefreshTokensSettings> {
  const lifetime = resolveLifetime('refreshTokens', options, REFRESH_TOKENS, now);
  const { retryWindow = 10_000 } = options;
  const window = retryWindow === 0 ? 0 : (duration('refreshTokens.retryWindow', retryWindow, 5 * MINUTE) ?? 0);
  const schema = resolveSchema('refreshTokens', options.schema);
  return { store: storeOf(options.namespace, lifetime), settings: { lifetime, retryWindow: window, schema, warn } };
}

/** `ring`: the keys of `encryption` in `forRoot`. @throws CacheConfigError */
export function resolveCodes(
  options: OneTimeCodesOptions,
  ring: KeyRing | undefined,
  warn: Warn,
): Resolved<OneTimeCodesSettings> {
  assertService('codes', options, CODES);
  const { namespace, length = 6, attempts = 3, alphabet = 'digits' } = options;
  const ttl = duration('codes.ttl', options.ttl, HOUR) ?? 10 * MINUTE;
  if (ttl > 10 * MINUTE) {
    warn(`option "codes.ttl": ASVS 5.0 (6.5) wants codes to be valid for 10 minutes at most, not ${ttl / MINUTE}`);
  }
  ensure(typeof alphabet === 'string', 'codes.alphabet', `must be 'digits', 'letters' or the characters themselves`);
  const characters = ALPHABETS[alphabet] ?? alphabet;
  const isPlain = /^[\x21-\x7e]+$/.test(characters) && new Set(characters).size === characters.length;
  ensure(isPlain, 'codes.alphabet', 'must consist of different visible ASCII characters');
  ensure(isWholeNumber(length, 64), 'codes.length', 'must be a whole number from 1 to 64');
  ensure(isWholeNumber(attempts, 1000), 'codes.attempts', 'must be a whole number from 1 to 1000');
  const codes = characters.length ** length;
  ensure(codes >= 1e6, 'codes.length', 'must give 1,000,000 codes or more with this alphabet (NIST, ASVS: 6 digits)');
  ensure(attempts / codes <= 1e-4, 'codes.attempts', 'must not give a guesser better odds than 1 in 10,000 for a code');
  return {
    store: { namespace, ttl },
    settings: {
      length,
      characters,
      ignoresCase: alphabet === 'letters',
      attempts,
      budget: resolveBudget(options.budget),
      secrets: resolveSecrets(options, ring),
    },
  };
}

/** @throws CacheConfigError */
export function resolveAttempts(options: AttemptLimiterOptions): Resolved<AttemptLimiterSettings> {
  assertService('attempts', options, ATTEMPTS);
  const { namespace, limit = 10, lockout } = options;
  ensure(isWholeNumber(limit, 1e6), 'attempts.limit', 'must be a whole number from 1 to 1000000');
  const window = duration('attempts.window', options.window) ?? 15 * MINUTE;
  return { store: { namespace, ttl: window }, settings: { limit, window, lockout: resolveLockout(lockout) } };
}

function resolveLockout(lockout: AttemptLimiterOptions['lockout']): AttemptLimiterSettings['lockout'] {
  if (lockout === undefined) return undefined;
  assertKnown(lockout, { first: true, factor: true, longest: true }, 'attempts.lockout.');
  const { factor = 2 } = lockout;
  const first = duration('attempts.lockout.first', lockout.first) ?? MINUTE;
  const longest = duration('attempts.lockout.longest', lockout.longest) ?? Math.max(HOUR, first);
  ensure(factor >= 1 && factor <= 1000, 'attempts.lockout.factor', 'must be a number from 1 to 1000');
  ensure(longest >= first, 'attempts.lockout.longest', 'must not be shorter than "first"');
  return { first, factor, longest };
}

function resolveBudget(budget: OneTimeCodesOptions['budget'] = {}): OneTimeCodesSettings['budget'] {
  if (budget === false) return undefined;
  ensure(isObject(budget), 'codes.budget', 'must be { issues, wrong, window } or false');
  assertKnown(budget, { issues: true, wrong: true, window: true }, 'codes.budget.');
  const { issues = 5, wrong = 10 } = budget;
  ensure(isWholeNumber(issues, 1e6), 'codes.budget.issues', 'must be a whole number from 1 to 1000000');
  ensure(isWholeNumber(wrong, 1e6), 'codes.budget.wrong', 'must be a whole number from 1 to 1000000');
  return { issues, wrong, window: duration('codes.budget.window', budget.window) ?? HOUR };
}

function resolveSecrets({ namespace, secret }: OneTimeCodesOptions, ring: KeyRing | undefined) {
  if (secret === undefined) {
    const problem =
      'is missing, and "encryption" of forRoot has no keys that it could be derived from: whoever can read Redis ' +
      'tries out all codes against a hash without a secret within a second';
    if (!ring) throw new CacheConfigError('codes.secret', problem);
    return () => ring.keys.map((key) => deriveSecret(key, namespace));
  }
  const list: readonly EncryptionKey[] = isList(secret) ? secret : [secret];
  ensure(list.length > 0, 'codes.secret', 'must be a key, or an array with the key for new codes, then older ones');
  const keys = distinct(list.map((key) => parseKey('codes.secret', key)));
  const secrets = keys.map((key) => deriveSecret(key, namespace));
  return () => secrets;
}

/** One for each namespace, so that a code of one service is none of another. */
function deriveSecret(master: Uint8Array, namespace: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', master, '', `nestjs-redis-cache-store/1/codes/${namespace}`, 32));
}

function isList(secret: EncryptionKey | readonly EncryptionKey[]): secret is readonly EncryptionKey[] {
  return Array.isArray(secret);
}

function resolveLifetime(
  service: 'sessions' | 'refreshTokens',
  options: SessionsOptions | RefreshTokensOptions,
  known: Readonly<Record<string, true>>,
  now: () => number,
): Lifetime {
  assertService(service, options, known);
  const read = (option: 'idle' | 'absolute') => {
    const missing = `is missing: say how long, or null if it is not to end a ${service === 'sessions' ? 'session' : 'family'}`;
    if (options[option] === undefined) throw new CacheConfigError(`${service}.${option}`, missing);
    return options[option] === null ? null : (duration(`${service}.${option}`, options[option]) ?? null);
  };
  return new Lifetime(read('idle'), read('absolute'), now);
}

function resolveSchema(service: string, schema: SessionsOptions['schema']): DataSchema {
  const isSchema = schema === undefined || isStandardSchema(schema);
  ensure(isSchema, `${service}.schema`, 'must be a Standard Schema, such as those of zod, valibot and arktype');
  return new DataSchema(schema);
}

function assertService(service: string, options: object, known: Readonly<Record<string, true>>): void {
  ensure(isObject(options), service, 'must be an object');
  assertKnown(options, known, `${service}.`);
  const { name } = options as { name?: unknown };
  ensure(
    name === undefined || (typeof name === 'string' && name !== ''),
    `${service}.name`,
    'must be a non-empty string',
  );
}

/** A record that nobody keeps alive lives for `idle`, or up to `absolute`. */
function storeOf(namespace: string, { idle, absolute }: Lifetime): CacheStoreOptions {
  const ttl = idle ?? absolute;
  return { namespace, ttl };
}
