import { CacheConfigError } from '../redis-cache.errors.js';
import type { RedisConnectionOptions } from '../redis-connection.options.js';

const RULES: Record<keyof RedisConnectionOptions, readonly [isValid: (value: unknown) => boolean, rule: string]> = {
  username: [isString, 'must be a string'],
  password: [isString, 'must be a string'],
  db: [isDatabase, 'must be a whole number from 0'],
  tls: [isPlainObject, "must be an object of options of Node's tls.connect; {} for none"],
  family: [(value) => value === 0 || value === 4 || value === 6, 'must be 4, 6 or 0'],
  keepAlive: [isDelay, 'must be a number of ms'],
  noDelay: [(value) => typeof value === 'boolean', 'must be true or false'],
  connectTimeout: [(value) => isDelay(value) && value !== 0, 'must be a number of ms from 1'],
  connectionName: [isString, 'must be a string'],
  sentinelUsername: [isString, 'must be a string'],
  sentinelPassword: [isString, 'must be a string'],
  sentinelTLS: [isPlainObject, "must be an object of options of Node's tls.connect; {} for none"],
  natMap: [
    (value) => isPlainObject(value) || typeof value === 'function',
    "must be an object such as { '10.0.0.1:6379': { host: 'localhost', port: 7000 } }, or a function",
  ],
};

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
    if (!Object.hasOwn(RULES, name)) throw refuse(`is unknown; the options are ${Object.keys(RULES).join(', ')}`);
    const [isValid, rule] = RULES[name as keyof RedisConnectionOptions];
    if (!isValid(value)) throw refuse(rule);
  }
  return Object.fromEntries(given);
}

export function isDatabase(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function sameReason(names: readonly string[], reason: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, reason]));
}

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function isDelay(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value < 2 ** 31;
}

function isPlainObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
