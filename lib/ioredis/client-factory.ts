import { isIP } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { Command, Redis } from 'ioredis';
import { setImmediate } from '../redis-cache.timers.js';
import { quickenStrings } from './workarounds/string-speed.js';

quickenStrings();
assertCommandsWritten(Command);

/**
 * Sees that ioredis still has the methods that `PendingCommand` overrides. One that it calls no more would not be missed: arguments
 * would not be sent, and a write that was lost would be told as one that was never sent.
 *
 * @throws Error that names the method
 */
export function assertCommandsWritten({ prototype }: { readonly prototype: object }): void {
  for (const name of ['toWritable', 'transformReply']) {
    if (typeof Reflect.get(prototype, name) === 'function') continue;
    throw new Error(`this version of ioredis has no Command.prototype.${name}: install one that is supported (5 or 6)`);
  }
}

/** One server, and how its socket is opened. */
export interface SocketOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly family?: number | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly connectTimeout: number;
  readonly keepAlive?: number | undefined;
  readonly noDelay?: boolean | undefined;
}

/**
 * A client for exactly one connection: it never retries, queues or repeats anything, and neither logs in nor selects a database
 * by itself. All of that is decided by `NodeLink` and those above it.
 *
 * ioredis 5 and 6 need all of `enableOfflineQueue`, `autoResendUnfulfilledCommands` and `maxRetriesPerRequest` to keep that
 * promise (redis/ioredis#2130, #2193). test/unit/ioredis.spec.ts holds what is relied on here.
 */
export function createClient({ host, tls, keepAlive = 5000, noDelay = true, ...socket }: SocketOptions): Redis {
  return new Redis({
    ...socket,
    keepAlive,
    noDelay,
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

/**
 * Connects. ioredis does so in a tick (`process.nextTick`), which never comes under fake timers.
 *
 * @throws Error that says how to begin fake timers, or that the client was given up; else the error of ioredis
 */
export async function connect(client: Redis): Promise<void> {
  let ticked = false;
  process.nextTick(() => (ticked = true));
  await new Promise(setImmediate);
  if (!ticked) throw new Error(FAKED_TICKS);
  if (client.status !== 'wait') throw new Error('Connection is closed.'); // else it would be opened again, with nobody to close it
  await client.connect();
}

const FAKED_TICKS =
  'process.nextTick is faked, so that Node cannot connect: begin fake timers after the application has started, ' +
  "and leave out what sockets need, as in jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })";
