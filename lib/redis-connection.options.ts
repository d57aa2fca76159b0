import type { ConnectionOptions as TlsOptions } from 'node:tls';

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
 * An option that is `undefined` counts as not given.
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
  /** Who we are to the sentinels. Default: nobody, whatever the url says of the master. */
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
