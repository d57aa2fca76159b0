import type { Endpoint, RedisAddress } from './connection/address.js';
import { CacheConfigError } from './redis-cache.errors.js';
import { checkRedisOptions, isDatabase, REDIS_OPTIONS } from './redis-connection.options.js';
import type { RedisConnectionOptions } from './redis-connection.options.js';
import { parseRedisUrl } from './redis-url.js';

/**
 * What is looked at of an ioredis client (5 or 6, of any copy). `connector`, `connectionPool` and `startupNodes` are private to
 * ioredis; test/integration/client-description.spec.ts holds that both versions have them.
 */
interface IoredisClient {
  readonly isCluster?: unknown;
  readonly options: Readonly<Record<string, unknown>>;
  readonly connector?: unknown;
  readonly connectionPool?: unknown;
  readonly startupNodes?: readonly unknown[];
}

/** Options under which a connection of our own would lead elsewhere, or find other keys. */
const REFUSED: Readonly<Record<string, string>> = {
  keyPrefix: 'use the "namespace" option instead',
  Connector: 'what it connects to cannot be told; use "url"',
  readOnly: 'it reads from replicas; give a client of the masters',
  monitor: 'give one that takes commands',
};

/**
 * Where and how a client connects, so that connections of our own lead to the same place. The client itself is not touched.
 *
 * @throws CacheConfigError if it is no ioredis client, or one that cannot be described
 */
export function describeClient(client: unknown): {
  readonly address: RedisAddress;
  readonly redis: RedisConnectionOptions;
} {
  if (!isIoredis(client)) {
    throw refused('must be an ioredis client (Redis or Cluster, of ioredis 5 or 6; a mock is none); or give "url"');
  }
  const { isCluster, options, startupNodes = [] } = client;
  if (isCluster !== true) return describe(options, isArray(options['sentinels']) ? 'sentinel' : 'standalone');
  const nodes = startupNodes.map(readNode);
  const shared = isObject(options['redisOptions']) ? options['redisOptions'] : {};
  const { natMap, keyPrefix = shared['keyPrefix'] } = options;
  return describe(
    { ...nodes[0]?.options, ...shared, natMap, keyPrefix },
    'cluster',
    nodes.map(({ endpoint }) => endpoint),
  );
}

function describe(
  options: Readonly<Record<string, unknown>>,
  kind: 'standalone' | 'sentinel' | 'cluster',
  nodes: readonly Endpoint[] = [],
): { readonly address: RedisAddress; readonly redis: RedisConnectionOptions } {
  const found = Object.keys(REFUSED).find((name) => options[name]);
  if (found) throw refused(`has the option "${found}", which does not work with this package: ${REFUSED[found]}`);
  if (options['role'] === 'slave') throw refused('leads to replicas (role: "slave"); give a client of the master');
  const tlsToMaster = kind !== 'sentinel' || options['enableTLSForSentinelMode'] === true;
  const tls = options['tls'] && tlsToMaster ? { tls: isObject(options['tls']) ? options['tls'] : {} } : {};
  const taken = REDIS_OPTIONS.filter((name) => name !== 'tls' && options[name] !== undefined && options[name] !== null);
  const redis = checkRedisOptions({ ...Object.fromEntries(taken.map((name) => [name, options[name]])), ...tls });
  const db = isDatabase(redis.db) ? redis.db : 0;
  const common = { kind, tls: 'tls' in tls, db: kind === 'cluster' ? 0 : db };
  const { db: _, ...withoutDb } = redis;
  switch (kind) {
    case 'standalone': {
      const path = typeof options['path'] === 'string' ? { path: options['path'], endpoints: [] } : undefined;
      return { address: { ...common, ...(path ?? { endpoints: [endpointOf(options, 6379)] }) }, redis: withoutDb };
    }
    case 'sentinel': {
      const sentinels = options['sentinels'] as readonly Readonly<Record<string, unknown>>[];
      const endpoints = sentinels.map((sentinel) => endpointOf(sentinel, 26_379));
      // Whether sentinels are spoken to over TLS is up to `sentinelTLS` alone.
      return { address: { ...common, tls: false, endpoints, masterName: String(options['name']) }, redis: withoutDb };
    }
    case 'cluster':
      if (nodes.length === 0) throw refused('names no nodes of its Cluster');
      return { address: { ...common, endpoints: nodes }, redis: withoutDb };
  }
}

/** A Cluster is given its nodes as objects, as urls, or as ports. */
function readNode(node: unknown): { readonly endpoint: Endpoint; readonly options: Readonly<Record<string, unknown>> } {
  if (typeof node === 'string' && /^rediss?:/.test(node)) {
    const { endpoints, username, password, tls } = parseRedisUrl(node);
    const [endpoint = { host: 'localhost', port: 6379 }] = endpoints;
    return { endpoint, options: { username, password, ...(tls && { tls: {} }) } };
  }
  if (isObject(node)) return { endpoint: endpointOf(node, 6379), options: node };
  return { endpoint: endpointOf({ port: node }, 6379), options: {} };
}

function endpointOf({ host, port }: Readonly<Record<string, unknown>>, defaultPort: number): Endpoint {
  return { host: typeof host === 'string' && host ? host : 'localhost', port: Number(port ?? defaultPort) };
}

function isIoredis(client: unknown): client is IoredisClient {
  if (!isObject(client) || typeof client['sendCommand'] !== 'function' || !isObject(client['options'])) return false;
  return client['isCluster'] === true ? isObject(client['connectionPool']) : isObject(client['connector']);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

function refused(problem: string): CacheConfigError {
  return new CacheConfigError('client', problem);
}
