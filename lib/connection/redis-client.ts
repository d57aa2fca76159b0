import { performance } from 'node:perf_hooks';
import { Cluster, Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { CacheConfigError } from '../redis-cache.errors.js';
import { isLoginRefused } from './redis-failures.js';
import type { RedisAddress } from './redis-url.js';

/** Who we are to Redis. */
export interface RedisCredentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** The one kind of thing that owns sockets. */
export type RedisClient = Redis | Cluster;

/**
 * ioredis derives a class from String, whereupon V8 (measured with Node 20) keeps what strings can do in a dictionary and inlines it
 * no longer: to walk over characters, as msgpackr does, takes four times as long, in the whole process. Once a property of a
 * String object has been looked up a few times, V8 makes its prototype fast again.
 */
function quickenStrings(): void {
  const text = Object('') as string;
  const touch = (some: string) => some.at(0);
  for (let i = 0; i < 100; i++) touch(text);
}
quickenStrings();

/** How often new credentials are asked for while they are refused, in ms. */
const RENEWAL_PAUSE = 1000;

/** Options whose effect on keys would make records unfindable or undeletable by `keys`, `clear` and tags. */
const UNSUPPORTED = ['keyPrefix', 'Connector', 'readOnly', 'stringNumbers'] as const;

/**
 * Keeps what a client sends off the tracing channels of ioredis: they show the keys of most commands, all arguments of scripts,
 * and, in the error of a refused login, the password.
 */
export function untraced(client: Redis): Redis {
  const send = client.sendCommand.bind(client);
  const duplicate = client.duplicate.bind(client);
  client.sendCommand = (command, stream) => {
    command.isTraced = true;
    return send(command, stream);
  };
  client.duplicate = (override) => untraced(duplicate(override)); // a Cluster asks for its slots over duplicates of its nodes
  return client;
}

/**
 * The clients that ioredis makes for sentinels get no listener for 'error' (it prints such errors), show their password on the
 * tracing channels, and keep the process up for 2 s after their end. They are made in one place, which it does not declare.
 */
function quietSentinels(client: Redis): void {
  type Connect = (endpoint: unknown, options?: RedisOptions) => Redis;
  const { connector } = client as unknown as { connector: { connectToSentinel: Connect } };
  const connect = connector.connectToSentinel.bind(connector);
  connector.connectToSentinel = (endpoint, options) =>
    untraced(connect(endpoint, { ...options, disconnectTimeout: 100 })).on('error', () => undefined);
}

/** @throws CacheConfigError for an ioredis option that cannot work underneath a store */
export function checkRedisOptions(options: object, option: 'redis' | 'client'): void {
  const found = UNSUPPORTED.find((name) => Reflect.get(options, name));
  if (!found) return;
  const advice = found === 'keyPrefix' ? 'use the "namespace" option instead' : 'remove it';
  throw new CacheConfigError(option, `ioredis' "${found}" does not work with this package: ${advice}`);
}

/**
 * A client for exactly one connection: it never retries, queues or repeats anything, since all of that is decided in
 * one place, `RedisConnection`, which makes a new client (fresh login, fresh DNS lookup) for each attempt.
 *
 * ioredis 6.0 needs all of `enableOfflineQueue`, `autoResendUnfulfilledCommands` and `maxRetriesPerRequest` to keep that
 * promise (redis/ioredis#2130, #2193), and `retryDelayOnFailover: 0` on a Cluster.
 */
export function createClient(
  address: RedisAddress,
  options: RedisOptions,
  credentials: RedisCredentials,
  connectTimeout: number,
): RedisClient {
  const common: RedisOptions = {
    keepAlive: 5000,
    // RESP2: one round trip less to connect, and nothing here needs RESP3.
    protocol: 2,
    disableClientInfo: true,
    ...(address.tls && { tls: {} }),
    ...(address.family !== undefined && { family: address.family }),
    ...loginOf(address),
    ...options,
    ...loginOf(credentials),
    // The database is selected by RedisLink, which looks at the reply: ioredis goes on in database 0 when it is refused.
    db: 0,
    lazyConnect: true,
    connectTimeout,
    disconnectTimeout: 100,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableAutoPipelining: false,
    maxRetriesPerRequest: 0,
    retryStrategy: null,
    reconnectOnError: null,
  };
  if (address.kind === 'sentinel') {
    const client = new Redis({
      ...common,
      sentinels: address.endpoints.map((endpoint) => ({ ...endpoint })),
      name: address.masterName ?? '',
      // The ready check is where ioredis sees that a sentinel named a server that is a replica by now.
      enableReadyCheck: true,
      maxLoadingRetryTime: 250,
      failoverDetector: true,
      // Connecting included. A silent sentinel must leave time for the others, and for the server that they name.
      sentinelCommandTimeout: connectTimeout / (address.endpoints.length + 1),
      // Typed as a function that never gives up; any other answer than a number ends the attempt.
      sentinelRetryStrategy: () => undefined,
      sentinelReconnectStrategy: () => 1000,
    });
    quietSentinels(client);
    return untraced(client);
  }
  if (address.kind === 'cluster') {
    const { retryStrategy: _, enableOfflineQueue: __, ...redisOptions } = common;
    const client = new Cluster(
      address.endpoints.map((endpoint) => ({ ...endpoint })),
      {
        lazyConnect: true,
        enableOfflineQueue: false,
        enableAutoPipelining: false,
        clusterRetryStrategy: null,
        retryDelayOnFailover: 0,
        slotsRefreshInterval: 0, // RedisLink does it: the timer of ioredis goes on for ever if closed while it asks
        // A silent node must leave time for asking another.
        slotsRefreshTimeout: connectTimeout / 3,
        maxRedirections: 6,
        // Cluster nodes announce IP addresses; a certificate names the host of the url.
        ...(common.tls && { dnsLookup: (host, callback) => callback(null, host) }),
        redisOptions,
      },
    );
    return client.on('+node', untraced);
  }
  const [endpoint] = address.endpoints;
  return untraced(new Redis({ ...endpoint, ...(address.path !== undefined && { path: address.path }), ...common }));
}

/**
 * A client outlives its login: a Cluster connects to its nodes when they are needed, and to ask who has which slots, a near cache to
 * listen; perhaps long after a password was rotated. Tell the function returned of a failed connection: if the login was
 * refused it asks for credentials, with which all connections to come are made. Those there are stay.
 */
export function renewLogin(client: RedisClient, ask: () => Promise<RedisCredentials>): (failure: unknown) => void {
  let login: RedisOptions = {};
  let askedAt = -Infinity;
  const apply = (node: Redis) => void Object.assign(node.options, login);
  const renew = async () => {
    login = loginOf(await ask());
    for (const node of client instanceof Cluster ? client.nodes('all') : [client]) apply(node);
  };
  const told = (failure: unknown) => {
    if (!isLoginRefused(failure) || performance.now() - askedAt < RENEWAL_PAUSE) return;
    askedAt = performance.now();
    renew().catch(() => undefined); // the next refusal asks again
  };
  if (client instanceof Cluster) client.on('+node', apply).on('node error', told);
  return told;
}

function loginOf({ username, password }: RedisCredentials): RedisOptions {
  return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}
