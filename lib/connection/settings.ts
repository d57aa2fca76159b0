import type { SocketOptions } from '../ioredis/client-factory.js';
import { lookUp } from '../redis-connection.options.js';
import type { RedisConnectionOptions, RedisLogin } from '../redis-connection.options.js';
import { LoginSource } from './login.js';
import type { RedisClock } from './redis-clock.js';
import { nameOf } from './address.js';
import type { Endpoint, RedisAddress } from './address.js';

/** What a connection is made of. Times in ms. */
export interface ConnectionOptions {
  /** Told in errors and log lines, where an application has several connections. */
  readonly name?: string | undefined;
  readonly address: RedisAddress;
  readonly redis: RedisConnectionOptions;
  readonly credentials?: (() => RedisLogin | Promise<RedisLogin>) | undefined;
  readonly timeout: number;
  readonly startup: 'wait' | 'background';
  readonly startupTimeout: number;
  readonly heartbeat: number;
  /** Tells the operator of something. */
  readonly warn: (message: string) => void;
}

/** What all links of a connection to data servers have in common. Times in ms. */
export interface LinkSettings {
  readonly login: LoginSource;
  /** How sockets are opened; with `tls`, encrypted. */
  readonly socket: Pick<SocketOptions, 'family' | 'keepAlive' | 'noDelay' | 'tls'>;
  /** The database to select. */
  readonly db: number;
  /** Shown by CLIENT LIST. */
  readonly clientName?: string | undefined;
  /** The time for connecting, login and all. */
  readonly connectWithin: number;
  /** For how long a server may leave a sign of life unanswered. */
  readonly patience: number;
  /** After so long a silence a link is asked for a sign of life before it is relied on. */
  readonly doubtAfter: number;
  /** How often a sign of life is asked for; 0: never. */
  readonly heartbeat: number;
  /** Set by what Redis says. */
  readonly clock: RedisClock;
  readonly warn: (message: string) => void;
}

export function linkSettings(options: ConnectionOptions, clock: RedisClock): LinkSettings {
  const { address, redis, credentials, timeout, heartbeat, warn } = options;
  const { family = address.family, keepAlive, noDelay, tls = address.tls ? {} : undefined } = redis;
  const { username = address.username, password = address.password } = redis;
  const within = Math.min(Math.max(timeout, 1000), 5000);
  return {
    login: new LoginSource({ username, password }, credentials),
    socket: { family, keepAlive, noDelay, tls },
    db: address.db,
    clientName: redis.connectionName,
    connectWithin: redis.connectTimeout ?? within,
    patience: Math.max(timeout, 100),
    doubtAfter: within,
    heartbeat,
    clock,
    warn,
  };
}

/** Where a server is that announces itself as being at `place`. */
export function reachedFrom({ natMap }: RedisConnectionOptions, place: Endpoint): Endpoint {
  return lookUp(natMap, nameOf(place)) ?? place;
}
