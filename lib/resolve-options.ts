import { types } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { describeClient } from './client-description.js';
import type { ConnectionOptions } from './connection/settings.js';
import { nameOf } from './connection/address.js';
import type { RedisAddress } from './connection/address.js';
import { parseRedisUrl } from './redis-url.js';
import { durationProblem, toMilliseconds } from './redis-cache.duration.js';
import { CacheConfigError } from './redis-cache.errors.js';
import type {
  CacheStoreBehavior,
  CacheStoreOptions,
  RedisCacheModuleOptions,
  Serializer,
} from './redis-cache.options.js';
import { assertOptionsFor, checkRedisOptions } from './redis-connection.options.js';
import { isNamespace } from './store/key-naming.js';
import type { EncryptionSource, KeyRing } from './record/key-ring.js';
import { messagePackSerializer } from './record/message-pack/serializer.js';
import type { StoreSettings } from './store/store-settings.js';

/** What resolving a store needs from outside. */
export interface StoreSurroundings {
  readonly warn: (message: string) => void;
  readonly openKeys: (source: EncryptionSource) => Promise<KeyRing>;
  readonly source: StoreSettings['source'];
}

const DEFAULT_URL = 'redis://localhost:6379';
const MINUTE = 60_000;
const MIB = 2 ** 20;

// As objects, so that the compiler notices an option that is missing here.
const BEHAVIOR: Record<keyof CacheStoreBehavior, true> = {
  ttl: true,
  serializer: true,
  schema: true,
  onCorrupt: true,
  sliding: true,
  maxAge: true,
  encryption: true,
  hashKeys: true,
  nearCache: true,
};
const STORE: Record<keyof CacheStoreOptions, true> = { ...BEHAVIOR, namespace: true, name: true, connection: true };
const MODULE: Record<keyof RedisCacheModuleOptions | 'isGlobal', true> = {
  ...BEHAVIOR,
  name: true,
  maxBytes: true,
  url: true,
  client: true,
  redis: true,
  credentials: true,
  namespace: true,
  timeout: true,
  startup: true,
  startupTimeout: true,
  heartbeat: true,
  isGlobal: true,
};

/** What the connection needs of the options of `forRoot`. @throws CacheConfigError */
export function resolveConnection(
  options: RedisCacheModuleOptions,
  warn: (message: string) => void,
): ConnectionOptions {
  assertKnown(options, MODULE);
  const { credentials, startup = 'wait' } = options;
  const isLogin = credentials === undefined || typeof credentials === 'function';
  ensure(isLogin, 'credentials', 'must be a function that gives { username, password }');
  ensure(startup === 'wait' || startup === 'background', 'startup', `must be 'wait' or 'background'`);
  const heartbeat = duration('heartbeat', options.heartbeat, 60 * MINUTE) ?? 30_000;
  ensure(heartbeat >= 100, 'heartbeat', 'must be at least 100 ms');
  return {
    name: options.name,
    ...resolveTarget(options),
    credentials,
    timeout: resolveTimeout(options),
    startup,
    startupTimeout: duration('startupTimeout', options.startupTimeout, 60 * MINUTE) ?? 10_000,
    heartbeat,
    warn,
  };
}

/** Where Redis is, and how to connect to it. @throws CacheConfigError */
function resolveTarget(options: RedisCacheModuleOptions): Pick<ConnectionOptions, 'address' | 'redis'> {
  const { client, url = DEFAULT_URL, redis = {} } = options;
  if (client !== undefined) {
    ensure(options.url === undefined, 'client', 'cannot be combined with "url"');
    ensure(options.redis === undefined, 'client', 'cannot be combined with "redis": give a client with these options');
    const described = describeClient(client);
    assertVotes(described.address, 'client');
    return described;
  }
  ensure(
    !('url' in options) || (options.url !== undefined && options.url !== ''),
    'url',
    `is given but ${options.url === '' ? 'empty' : 'undefined'}: is the environment variable set? (Leave "url" out for ${DEFAULT_URL}.)`,
  );
  ensure(typeof url === 'string', 'url', `must be a string, not ${typeof url}`);
  ensure(isObject(redis), 'redis', 'must be an object of options of ioredis');
  const address = parseRedisUrl(url);
  assertVotes(address, 'url');
  const checked = checkRedisOptions(redis);
  assertOptionsFor(address.kind, checked);
  ensure(address.kind !== 'cluster' || !checked.db, 'redis.db', 'must be 0: a Redis Cluster has no other database');
  return { address: { ...address, db: checked.db ?? address.db }, redis: checked };
}

/** Most sentinels decide who the master is: each must have one vote. @throws CacheConfigError */
function assertVotes({ kind, endpoints }: RedisAddress, option: string): void {
  const names = new Set(endpoints.map((endpoint) => nameOf(endpoint).toLowerCase()));
  const isOnce = kind !== 'sentinel' || names.size === endpoints.length;
  ensure(isOnce, option, 'names a sentinel twice, which would then vote twice: name each of them once');
}

/** The settings of the default store. @throws CacheConfigError */
export function resolveDefaultStore(
  options: RedisCacheModuleOptions,
  surroundings: StoreSurroundings,
): Promise<StoreSettings> {
  const { namespace = 'cache' } = options;
  return resolve({ ...options, namespace }, options, surroundings);
}

/** The settings of a store of `forFeature`, on top of what `forRoot` says for all. @throws CacheConfigError */
export async function resolveStore(
  options: CacheStoreOptions,
  root: RedisCacheModuleOptions,
  surroundings: StoreSurroundings,
): Promise<StoreSettings> {
  assertKnown(options, STORE);
  if (options.name !== undefined && (typeof options.name !== 'string' || options.name === '')) {
    throw new CacheConfigError('name', 'must be a non-empty string');
  }
  return resolve(options, root, surroundings);
}

async function resolve(
  options: CacheStoreOptions,
  root: RedisCacheModuleOptions,
  { warn, openKeys, source }: StoreSurroundings,
): Promise<StoreSettings> {
  const { namespace, schema, onCorrupt = 'throw', sliding = false } = options;
  // Not with `??`: null is a mistake, not the wish for a default, least of all for no encryption.
  const { serializer = root.serializer ?? messagePackSerializer } = options;
  const { encryption = root.encryption ?? false, hashKeys = root.hashKeys ?? false } = options;
  const maxBytes = resolveMaxBytes(root);
  const ttl = options.ttl === null ? null : (duration('ttl', options.ttl) ?? null);
  const maxAge = duration('maxAge', options.maxAge);
  ensure(isNamespace(namespace), 'namespace', 'must have 1 to 64 characters, of A-Z a-z 0-9 . _ -');
  ensure(onCorrupt === 'throw' || onCorrupt === 'miss', 'onCorrupt', `must be 'throw' or 'miss'`);
  ensure(typeof sliding === 'boolean', 'sliding', 'must be true or false');
  ensure(!sliding || ttl !== null, 'sliding', 'needs a "ttl" that reading gives a record again');
  ensure(
    isSerializer(serializer),
    'serializer',
    'must have the methods serialize(value) and deserialize(bytes), which give no promises',
  );
  ensure(
    schema === undefined || isStandardSchema(schema),
    'schema',
    'must be a Standard Schema, such as those of zod, valibot and arktype',
  );
  ensure(
    encryption === false || isObject(encryption) || typeof encryption === 'function',
    'encryption',
    'must be { keys } or a function that gives them',
  );
  ensure(typeof hashKeys === 'boolean', 'hashKeys', 'must be true or false');
  ensure(!hashKeys || encryption !== false, 'hashKeys', 'needs "encryption": the hash is keyed');
  const keyRing = encryption === false ? undefined : await openKeys(encryption);
  ensure(
    !hashKeys || keyRing?.isHashKeyClear === true,
    'encryption.hashKey',
    'must be given where "hashKeys" is on and there are several keys: the key that was the only one',
  );
  ensure(!hashKeys || keyRing?.acceptsPlain !== true, 'encryption.acceptPlain', 'is not for a store with "hashKeys"');
  return {
    namespace,
    ttl,
    maxAge,
    sliding,
    onCorrupt,
    schema,
    serializer,
    maxBytes,
    hashKeys,
    nearCache: resolveNearCache(options.nearCache),
    keyRing,
    timeout: resolveTimeout(root),
    source,
    warn,
  };
}

function resolveNearCache(option: CacheStoreBehavior['nearCache']): StoreSettings['nearCache'] {
  if (option === undefined || option === false) return undefined;
  ensure(option === true || isObject(option), 'nearCache', 'must be true, false or an object');
  if (option !== true) assertKnown(option, { lease: true, maxBytes: true, maxEntries: true }, 'nearCache.');
  const { maxEntries = 10_000, maxBytes, lease: leaseOption = 2000 } = option === true ? {} : option;
  const lease = duration('nearCache.lease', leaseOption);
  ensure(isWholeNumber(maxEntries, 2 ** 24), 'nearCache.maxEntries', 'must be a whole number from 1 to 16777216');
  ensure(lease !== undefined && lease >= 100 && lease <= MINUTE, 'nearCache.lease', 'must be from 100 ms to 1 minute');
  ensure(
    maxBytes === undefined || isWholeNumber(maxBytes, 2 ** 36),
    'nearCache.maxBytes',
    'must be a whole number from 1 to 68719476736 (64 GiB)',
  );
  return { maxEntries, maxBytes, lease };
}

/** The size limit of records, in bytes. @throws CacheConfigError */
export function resolveMaxBytes({ maxBytes = 8 * MIB }: RedisCacheModuleOptions): number {
  ensure(isWholeNumber(maxBytes, 512 * MIB), 'maxBytes', 'must be a whole number from 1 to 536870912 (512 MiB)');
  return maxBytes;
}

function resolveTimeout({ timeout }: RedisCacheModuleOptions): number {
  return duration('timeout', timeout, 10 * MINUTE) ?? 2000;
}

export function duration(option: string, value: unknown, longest = Infinity): number | undefined {
  if (value === undefined) return undefined;
  const parsed = toMilliseconds(value);
  if (parsed === undefined) throw new CacheConfigError(option, durationProblem(value));
  if (parsed > longest) throw new CacheConfigError(option, `must not be longer than ${longest / MINUTE} minutes`);
  return parsed;
}

/** A mistyped option would silently mean its default, such as "never expires". */
export function assertKnown(options: unknown, known: Readonly<Record<string, true>>, within = ''): void {
  if (!isObject(options)) throw new CacheConfigError('options', 'must be an object');
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (unknown) {
    throw new CacheConfigError(within + unknown, `is unknown; the options are ${Object.keys(known).join(', ')}`);
  }
  // Copies of the options would be without it.
  const inherited = Object.keys(known).find((name) => name in options && !Object.hasOwn(options, name));
  if (inherited) throw new CacheConfigError(within + inherited, 'is inherited, as of a class: give a plain object');
}

export function ensure(holds: boolean, option: string, problem: string): asserts holds {
  if (!holds) throw new CacheConfigError(option, problem);
}

export function isWholeNumber(value: unknown, most: number): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isSerializer(value: unknown): value is Serializer {
  if (!isObject(value)) return false;
  const { serialize, deserialize } = value as Partial<Serializer>;
  return [serialize, deserialize].every((method) => typeof method === 'function' && !types.isAsyncFunction(method));
}

export function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  // arktype's schemas are functions
  if (!isObject(value) && typeof value !== 'function') return false;
  const standard = (value as Partial<StandardSchemaV1>)['~standard'];
  return typeof standard?.validate === 'function';
}
