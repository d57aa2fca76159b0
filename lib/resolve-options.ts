import type { StandardSchemaV1 } from '@standard-schema/spec';
import { checkRedisOptions } from './connection/redis-client.js';
import type { ConnectionOptions } from './connection/redis-connection.js';
import { parseRedisUrl } from './connection/redis-url.js';
import { DURATION_RULE, toMilliseconds } from './redis-cache.duration.js';
import { CacheConfigError } from './redis-cache.errors.js';
import type {
  CacheStoreBehavior,
  CacheStoreOptions,
  RedisCacheModuleOptions,
  Serializer,
  StoreSettings,
} from './redis-cache.options.js';
import { isNamespace } from './store/keyspace.js';
import { messagePackSerializer } from './store/serializer.js';

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
  maxBytes: true,
  nearCache: true,
};
const STORE: Record<keyof CacheStoreOptions, true> = { ...BEHAVIOR, namespace: true, name: true };
const MODULE: Record<keyof RedisCacheModuleOptions | 'isGlobal', true> = {
  ...BEHAVIOR,
  url: true,
  client: true,
  redis: true,
  credentials: true,
  namespace: true,
  timeout: true,
  startup: true,
  startupTimeout: true,
  isGlobal: true,
};

/** What the connection needs of the options of `forRoot`. @throws CacheConfigError */
export function resolveConnection(options: RedisCacheModuleOptions, warn: StoreSettings['warn']): ConnectionOptions {
  assertKnown(options, MODULE);
  const { client, redis = {}, credentials, startup = 'wait' } = options;
  if (options.url !== undefined && typeof options.url !== 'string') {
    throw new CacheConfigError('url', `must be a string, not ${typeof options.url}`);
  }
  if (client !== undefined) {
    if (options.url !== undefined) throw new CacheConfigError('client', 'cannot be combined with "url"');
    if (typeof client?.sendCommand !== 'function') throw new CacheConfigError('client', 'must be an ioredis client');
    checkRedisOptions(client.options, 'client');
  }
  if (!isObject(redis)) throw new CacheConfigError('redis', 'must be an object of ioredis options');
  checkRedisOptions(redis, 'redis');
  if (credentials !== undefined && typeof credentials !== 'function') {
    throw new CacheConfigError('credentials', 'must be a function that gives { username, password }');
  }
  if (startup !== 'wait' && startup !== 'background') {
    throw new CacheConfigError('startup', `must be 'wait' or 'background'`);
  }
  return {
    address: parseRedisUrl(options.url ?? DEFAULT_URL),
    ...(client && { client }),
    redis,
    ...(credentials && { credentials }),
    timeout: resolveTimeout(options),
    startup,
    startupTimeout: duration('startupTimeout', options.startupTimeout, 60 * MINUTE) ?? 10_000,
    warn,
  };
}

/** The settings of the default store. @throws CacheConfigError */
export function resolveDefaultStore(options: RedisCacheModuleOptions, warn: StoreSettings['warn']): StoreSettings {
  return resolve({ ...options, namespace: options.namespace ?? 'cache' }, options, warn);
}

/** The settings of a store of `forFeature`, on top of what `forRoot` says for all. @throws CacheConfigError */
export function resolveStore(
  options: CacheStoreOptions,
  root: RedisCacheModuleOptions,
  warn: StoreSettings['warn'],
): StoreSettings {
  assertKnown(options, STORE);
  if (options.name !== undefined && (typeof options.name !== 'string' || options.name === '')) {
    throw new CacheConfigError('name', 'must be a non-empty string');
  }
  return resolve(options, root, warn);
}

function resolve(
  options: CacheStoreOptions,
  root: RedisCacheModuleOptions,
  warn: StoreSettings['warn'],
): StoreSettings {
  const { namespace, schema, onCorrupt = 'throw', sliding = false } = options;
  const serializer = options.serializer ?? root.serializer ?? messagePackSerializer;
  const maxBytes = options.maxBytes ?? root.maxBytes ?? 8 * MIB;
  const ttl = duration('ttl', options.ttl) ?? null;
  const maxAge = duration('maxAge', options.maxAge);
  if (!isNamespace(namespace)) {
    throw new CacheConfigError('namespace', 'must have 1 to 64 characters, of A-Z a-z 0-9 . _ -');
  }
  if (onCorrupt !== 'throw' && onCorrupt !== 'miss') {
    throw new CacheConfigError('onCorrupt', `must be 'throw' or 'miss'`);
  }
  if (typeof sliding !== 'boolean') throw new CacheConfigError('sliding', 'must be true or false');
  if (sliding && ttl === null) throw new CacheConfigError('sliding', 'needs a "ttl" that reading gives a record again');
  if (!isSerializer(serializer)) {
    throw new CacheConfigError('serializer', 'must have the methods serialize(value) and deserialize(bytes)');
  }
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw new CacheConfigError('schema', 'must be a Standard Schema, such as those of zod, valibot and arktype');
  }
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > 512 * MIB) {
    throw new CacheConfigError('maxBytes', 'must be a whole number from 1 to 536870912 (512 MiB)');
  }
  const timeout = resolveTimeout(root);
  const nearCache = resolveNearCache(options.nearCache, root);
  return { namespace, ttl, maxAge, sliding, onCorrupt, schema, serializer, maxBytes, nearCache, timeout, warn };
}

function resolveNearCache(
  option: CacheStoreBehavior['nearCache'],
  root: RedisCacheModuleOptions,
): StoreSettings['nearCache'] {
  if (option === undefined || option === false) return undefined;
  if (option !== true && !isObject(option)) throw new CacheConfigError('nearCache', 'must be true, false or an object');
  const { maxEntries = 10_000, lease: leaseOption = 2000 } = option === true ? {} : option;
  const lease = toMilliseconds(leaseOption);
  if (!Number.isInteger(maxEntries) || maxEntries < 1) {
    throw new CacheConfigError('nearCache.maxEntries', 'must be a whole number from 1');
  }
  if (lease === undefined || lease < 100 || lease > MINUTE) {
    throw new CacheConfigError('nearCache.lease', 'must be from 100 ms to 1 minute');
  }
  const isCluster = root.client ? 'nodes' in root.client : parseRedisUrl(root.url ?? DEFAULT_URL).kind === 'cluster';
  if (isCluster) throw new CacheConfigError('nearCache', 'is not available on a Redis Cluster yet');
  return { maxEntries, lease };
}

function resolveTimeout({ timeout }: RedisCacheModuleOptions): number {
  return duration('timeout', timeout, 10 * MINUTE) ?? 2000;
}

function duration(option: string, value: unknown, longest = Infinity): number | undefined {
  if (value === undefined) return undefined;
  const parsed = toMilliseconds(value);
  if (parsed === undefined) throw new CacheConfigError(option, DURATION_RULE);
  if (parsed > longest) throw new CacheConfigError(option, `must not be longer than ${longest / MINUTE} minutes`);
  return parsed;
}

/** A mistyped option would silently mean its default, such as "never expires". */
function assertKnown(options: unknown, known: Readonly<Record<string, true>>): void {
  if (!isObject(options)) throw new CacheConfigError('options', 'must be an object');
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (unknown) {
    throw new CacheConfigError(unknown, `is unknown; the options are ${Object.keys(known).join(', ')}`);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isSerializer(value: unknown): value is Serializer {
  if (!isObject(value)) return false;
  const { serialize, deserialize } = value as Partial<Serializer>;
  return typeof serialize === 'function' && typeof deserialize === 'function';
}

function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  // arktype's schemas are functions
  if (!isObject(value) && typeof value !== 'function') return false;
  const standard = (value as Partial<StandardSchemaV1>)['~standard'];
  return typeof standard?.validate === 'function';
}
