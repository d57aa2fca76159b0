import { isIP } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Redis } from 'ioredis';
import { quickenStrings } from './workarounds/string-speed.js';

quickenStrings();

/** One server, and how its socket is opened. */
export interface SocketOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly family?: number;
  readonly tls?: TlsOptions | undefined;
  readonly connectTimeout: number;
  readonly keepAlive?: number;
  readonly noDelay?: boolean;
}

/**
 * A client for exactly one connection: it never retries, queues or repeats anything, and neither logs in nor selects a database
 * by itself. All of that is decided by `NodeLink` and those above it.
 *
 * ioredis 5 and 6 need all of `enableOfflineQueue`, `autoResendUnfulfilledCommands` and `maxRetriesPerRequest` to keep that
 * promise (redis/ioredis#2130, #2193). test/unit/ioredis.spec.ts holds what is relied on here.
 */
export function createClient({ host, tls, ...socket }: SocketOptions): Redis {
  return new Redis({
    keepAlive: 5000,
    ...socket,
    ...(host !== undefined && { host }),
    // Node sends no server name (SNI) unless it is told one, and an address is none.
    ...(tls && { tls: { ...(host !== undefined && !isIP(host) && { servername: host }), ...tls } }),
    // RESP2: one round trip less to connect, and nothing here needs RESP3.
    protocol: 2,
    disableClientInfo: true,
    db: 0,
    lazyConnect: true,
    disconnectTimeout: 100,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableAutoPipelining: false,
    maxRetriesPerRequest: 0,
    retryStrategy: null,
    reconnectOnError: null,
  });
}
