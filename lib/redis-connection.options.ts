import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { types } from 'node:util';
import { CacheConfigError } from './redis-cache.errors.js';

/** What `credentials` gives. */
export interface RedisLogin {
  username?: string | undefined;
  password?: string | undefined;
  /**
   * When the password stops being valid, as a Date or in ms since the epoch (Entra, IAM). `credentials` is asked again a minute
   * before, or after three quarters of the time if that is later, and the live connections log in again. Absent: it stays valid.
   */
  expiresAt?: Date | number | undefined;
}

/** A `Redis` or `Cluster` of ioredis, of whatever version and copy. */
export interface IoredisClient {
  readonly isCluster: boolean;
  readonly options: object;
  readonly status: string;
  sendCommand(...args: never[]): unknown;
}

/**
 * What `redis` may hold: the options of ioredis, by their names there, that say how and as whom to connect. What decides about
 * retries, queues, timeouts and the meaning of replies is this package's own, and refused by name.
 *
 * An option that is `undefined` counts as not given. One that has no effect with the url is refused.
 *
 * @example
 * ```ts
 * RedisCacheModule.forRoot({ url: 'rediss://redis.internal', redis: { tls: { ca: readFileSync('ca.pem') } } });
 * ```
 */
export interface RedisConnectionOptions {
  /** Instead of the url's. */
  username?: string | undefined;
  /** Instead of the url's. */
  password?: string | undefined;
  /** The database, instead of the url's: a whole number from 0. On a Cluster only 0. */
  db?: number | undefined;
  /** Options of Node's `tls.connect`; given at all (also as `{}`), the servers are spoken to over TLS. */
  tls?: TlsOptions | undefined;
  /** The version of IP that host names are resolved to: 4, 6, or 0 for either. */
  family?: number | undefined;
  /** After how many ms without traffic TCP asks for a sign of life. Default: 5000. */
  keepAlive?: number | undefined;
  /** Whether small packets leave at once. Default: true. */
  noDelay?: boolean | undefined;
  /** How long one attempt to connect may take, login included, in ms. Default: `timeout`, but from 1 to 5 s. */
  connectTimeout?: number | undefined;
  /** The name that CLIENT LIST shows. */
  connectionName?: string | undefined;
  /** Who we are to the sentinels; for urls that name some only. Default: nobody, whatever the url says of the master. */
  sentinelUsername?: string | undefined;
  sentinelPassword?: string | undefined;
  /** As `tls`, for the sentinels. `rediss-sentinel://` implies it, with what `tls` says as its default. */
  sentinelTLS?: TlsOptions | undefined;
  /** Where nodes of a Cluster, or masters that sentinels name, are reached from here, by the `host:port` that they announce. */
  natMap?: NatMap | undefined;
}

/** Where servers are reached from here, by the `host:port` that they announce. */
export type NatMap =
  | Readonly<Record<string, { readonly host: string; readonly port: number }>>
  | ((key: string) => { host: string; port: number } | null | undefined);

const RULES: Record<keyof RedisConnectionOptions, readonly [isValid: (value: unknown) => boolean, rule: string]> = {
  username: [isString, 'must be a string'],
  password: [isString, 'must be a string'],
  db: [isDatabase, 'must be a whole number from 0'],
  tls: [isPlainObject, "must be an object of options of Node's tls.connect; {} for none"],
  family: [(value) => value === 0 || value === 4 || value === 6, 'must be 4, 6 or 0'],
  keepAlive: [isDelay, 'must be a number of ms'],
  noDelay: [(value) => typeof value === 'boolean', 'must be true or false'],
  connectTimeout: [(value) => isDelay(value) && value !== 0, 'must be a number of ms from 1'],
  connectionName: [(value) => isString(value) && /^[!-~]*$/.test(String(value)), 'must be ASCII without spaces'],
  sentinelUsername: [isString, 'must be a string'],
  sentinelPassword: [isString, 'must be a string'],
  sentinelTLS: [isPlainObject, "must be an object of options of Node's tls.connect; {} for none"],
  natMap: [
    (value) => typeof value === 'function' || (isPlainObject(value) && Object.values(Object(value)).every(isPlace)),
    "must be an object such as { '10.0.0.1:6379': { host: 'localhost', port: 7000 } }, or a function",
  ],
};

/** The names of the options that there are. */
export const REDIS_OPTIONS = Object.keys(RULES);

const SAID_BY_URL = 'remove it: the url says where Redis is';
const OURS = 'remove it: this package decides by "timeout", "startup" and "heartbeat"';
const OTHER_REPLIES = 'remove it: it changes what replies mean';

/** Why an option of ioredis is none here. */
const REFUSED: Readonly<Record<string, string>> = {
  keyPrefix: 'use the "namespace" option instead',
  ...sameReason(['host', 'port', 'path', 'Connector', 'sentinels', 'name', 'role', 'preferredSlaves'], SAID_BY_URL),
  ...sameReason(['stringNumbers', 'replyMapping', 'protocol', 'readOnly', 'scaleReads', 'monitor'], OTHER_REPLIES),
  ...sameReason(
    [
      'retryStrategy',
      'reconnectOnError',
      'maxRetriesPerRequest',
      'maxLoadingRetryTime',
      'enableOfflineQueue',
      'enableReadyCheck',
      'enableAutoPipelining',
      'autoPipeliningIgnoredCommands',
      'autoResubscribe',
      'autoResendUnfulfilledCommands',
      'lazyConnect',
      'commandTimeout',
      'socketTimeout',
      'blockingTimeout',
      'blockingTimeoutGrace',
      'disconnectTimeout',
      'sentinelRetryStrategy',
      'sentinelReconnectStrategy',
      'sentinelCommandTimeout',
      'sentinelMaxConnections',
      'failoverDetector',
      'updateSentinels',
    ],
    OURS,
  ),
  enableTLSForSentinelMode: 'remove it: "tls" alone means TLS to the master, "sentinelTLS" to the sentinels',
};

const SENTINEL = ['sentinel'];

/** Options that mean something to some kinds of urls only. */
const ONLY_FOR: Readonly<Record<string, readonly string[]>> = {
  sentinelUsername: SENTINEL,
  sentinelPassword: SENTINEL,
  sentinelTLS: SENTINEL,
  natMap: [...SENTINEL, 'cluster'],
};

/**
 * Sees that the options mean something where the url leads. To `memory:` all of them mean nothing, so that an application may be
 * tried out there as it is.
 *
 * @throws CacheConfigError for one that does not
 */
export function assertOptionsFor(kind: string, options: RedisConnectionOptions): void {
  const idle = Object.keys(options).find((name) => ONLY_FOR[name]?.includes(kind) === false);
  if (kind === 'memory' || idle === undefined) return;
  const urls = ONLY_FOR[idle]?.map((each) => `redis-${each}://`).join(' and ');
  throw new CacheConfigError('redis', `"${idle}" has no effect with this url: remove it (it is for ${urls})`);
}

/**
 * The options that are given.
 *
 * @throws CacheConfigError for one that is unknown, wrong, or not for `redis` to say
 */
export function checkRedisOptions(options: object): RedisConnectionOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const refuse = (problem: string) => new CacheConfigError('redis', `"${name}" ${problem}`);
    if (Object.hasOwn(REFUSED, name)) throw refuse(`does not work with this package: ${REFUSED[name]}`);
    if (!Object.hasOwn(RULES, name)) throw refuse(`is unknown; the options are ${REDIS_OPTIONS.join(', ')}`);
    const [isValid, rule] = RULES[name as keyof RedisConnectionOptions];
    if (!isValid(value)) throw refuse(rule);
  }
  return Object.fromEntries(given);
}

/**
 * What `credentials` gave, without what is `undefined`.
 *
 * @throws CacheConfigError if that is no login
 */
export function checkLogin(login: unknown): RedisLogin {
  const refuse = (problem: string) => new CacheConfigError('credentials', problem);
  if (!isPlainObject(login)) throw refuse('must give an object: { username, password }');
  const given = Object.entries(login as RedisLogin).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (name === 'expiresAt' && !isMoment(value))
      throw refuse('must give "expiresAt" as a Date or in ms since the epoch');
    if ((name === 'username' || name === 'password') && !isString(value))
      throw refuse(`must give "${name}" as a string`);
  }
  return Object.fromEntries(given);
}

/**
 * Where `natMap` says that a server is reached from here; `undefined`: where it announces itself to be.
 *
 * @throws CacheConfigError if the function throws, or gives anything else
 */
export function lookUp(natMap: NatMap | undefined, name: string): { host: string; port: number } | undefined {
  if (typeof natMap !== 'function') return natMap?.[name];
  const refuse = (problem: string, cause?: unknown) => new CacheConfigError('redis', `"natMap" ${problem}`, { cause });
  let place: unknown;
  try {
    place = natMap(name) ?? undefined;
  } catch (error) {
    throw refuse(`threw for ${name}`, error);
  }
  if (place !== undefined && !isPlace(place)) throw refuse(`gave no { host, port } for ${name}`);
  return place;
}

export function isDatabase(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 31;
}

function sameReason(names: readonly string[], reason: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, reason]));
}

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

/** A number of seconds is none: that moment was in 1970. */
function isMoment(value: unknown): boolean {
  return (typeof value === 'number' || types.isDate(value)) && Number(value) > 1e11;
}

function isPlace(value: unknown): value is { host: string; port: number } {
  const { host, port } = Object(value) as { host?: unknown; port?: unknown };
  return typeof host === 'string' && host !== '' && Number(port) >= 1 && Number(port) <= 65_535;
}

function isDelay(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value < 2 ** 31;
}

function isPlainObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
