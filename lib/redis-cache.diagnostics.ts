import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, tracingChannel } from 'node:diagnostics_channel';
import { CacheCommandError, CacheUnavailableError, RedisCacheError } from './redis-cache.errors.js';
import type { CallOutcome, UnavailableReason } from './redis-cache.errors.js';

/*
 * What an observer of this process can listen to, by node:diagnostics_channel. No message holds a key, a tag, a value, a subject or a
 * password. Nothing is made up while nobody listens.
 */

/** Which Redis a message is about. */
export interface CacheConnectionSource {
  /** The `name` in `forRoot`; `default` without one. */
  readonly connection: string;
  /** The host of the url, or the path of a socket; of Sentinel and Cluster the first one. Absent for `memory:`. */
  readonly address?: string;
  readonly port?: number;
  /** The number of the database. */
  readonly database: number;
}

const CODES = [
  'CACHE_ARGUMENT',
  'CACHE_COMMAND',
  'CACHE_CONFIG',
  'CACHE_CORRUPT',
  'CACHE_LIMIT',
  'CACHE_UNAVAILABLE',
] as const;

/** Why a call rejected. */
export interface CacheCallFailure {
  /** The `code` of an error of this package; `OTHER`: an error of the application's own, from a callback or a schema. */
  readonly code: (typeof CODES)[number] | 'OTHER';
  /** Of a CacheUnavailableError. */
  readonly reason?: UnavailableReason;
  /** Of a CacheUnavailableError: whether the call has an effect. */
  readonly outcome?: CallOutcome;
  /** Of a CacheCommandError: the error code of Redis, such as `OOM`. */
  readonly reply?: string;
}

/**
 * One call of a method of a store: the message of `tracing:nestjs-redis-cache-store:call:*`. One object from `start` to `asyncEnd`;
 * what is not `readonly` is complete at `asyncStart`.
 */
export interface CacheCallMessage extends CacheConnectionSource {
  /** The name of the method. */
  readonly operation: string;
  /** Of the store; that of its parent for a scope. */
  readonly namespace: string;
  /** Records that were found, by `get`, `getMany`, `take`, `inspect`, `has` and `ttl`; by `getOrPut`: nothing was loaded. */
  hits: number;
  /** Records that were not found; by `getOrPut`: its `load` ran. */
  misses: number;
  /** How many commands were sent again, those included that the call shared with others. */
  retries: number;
  /** Of a read, or of a write without tags, that could share a command with others: the number of keys of that. 0: of any other call. */
  batchSize: number;
  /** Absent: the call resolved. */
  failure?: CacheCallFailure;
}

/** A change of `RedisConnection.status`: the message of `nestjs-redis-cache-store:connection`. */
export interface CacheConnectionMessage extends CacheConnectionSource {
  readonly status: string;
  readonly previous: string;
  /** Why Redis is not ready, as in `RedisConnection.lastError`. */
  readonly reason?: string;
}

/** The message of `nestjs-redis-cache-store:session`: what `events$` of a service of `/auth` tells, without whose it is. */
export interface CacheSessionMessage {
  readonly service: 'sessions' | 'refreshTokens';
  readonly namespace: string;
  readonly type: string;
}

/** Something happened to the local copies of records: the message of `nestjs-redis-cache-store:near-cache`. */
export type CacheNearMessage =
  | (CacheConnectionSource & {
      /**
       * `fill`: a copy was kept. `eviction`: it was given up for others, or was found to have expired. `invalidation`: it was forgotten, since
       * its record changed, by whichever instance, or since Redis may not have told of a change.
       */
      readonly event: 'fill' | 'eviction' | 'invalidation';
      readonly namespace: string;
      /** How many copies it happened to: more than one if all of a connection were forgotten, or all of the store. */
      readonly copies: number;
      /** How many copies the store has now. */
      readonly entries: number;
      /** How many bytes the copies of this process have now that share a `maxBytes`. */
      readonly bytes: number;
    })
  | (CacheConnectionSource & {
      /**
       * Down: a feed of changes could not be opened, or opened again after its loss, so that what lies on its server is read from
       * Redis alone. Up: no feed has such a problem (any more); told first when a record was read and the feed has answered. On a Cluster, where
       * each master has a feed, down is told of the first one and up of the last one. The loss of the connection itself
       * is a matter of the channel `connection`.
       */
      readonly event: 'feed-up' | 'feed-down';
      readonly reason?: string;
    });

/** The names of the channels. */
export const CALLS = 'nestjs-redis-cache-store:call';
export const CONNECTIONS = 'nestjs-redis-cache-store:connection';
export const NEAR_CACHES = 'nestjs-redis-cache-store:near-cache';
export const SESSIONS = 'nestjs-redis-cache-store:session';

const calls = tracingChannel<unknown, CacheCallMessage>(CALLS) as ReturnType<
  typeof tracingChannel<unknown, CacheCallMessage>
> & { readonly hasSubscribers: boolean }; // which the types of Node 20 do not know
const connections = channel(CONNECTIONS);
const sessions = channel(SESSIONS);
const nearCaches = channel(NEAR_CACHES);

/** Tells of a change, which is made up only if somebody listens. */
export function tellConnection(change: () => CacheConnectionMessage): void {
  if (connections.hasSubscribers) connections.publish(change());
}

/** As `tellConnection`. */
export function tellNearCache(message: () => CacheNearMessage): void {
  if (nearCaches.hasSubscribers) nearCaches.publish(message());
}

/** As `tellConnection`. */
export function tellSession(service: CacheSessionMessage['service'], namespace: string, type: string): void {
  if (sessions.hasSubscribers) sessions.publish({ service, namespace, type } satisfies CacheSessionMessage);
}

/** The calls that something is being done for: one, or all that share a command. */
const current = new AsyncLocalStorage<readonly CacheCallMessage[]>();

/** Whether `current` may be in use: up to Node 22 it then follows every promise of the process, which costs each of them time. */
let isFollowing = false;

/** Whether anybody listens to calls. */
export function areCallsObserved(): boolean {
  if (calls.hasSubscribers) return true;
  if (isFollowing) {
    isFollowing = false;
    current.disable();
  }
  return false;
}

/** The calls that something is being done for; `undefined` if nobody has listened. */
export function currentCalls(): readonly CacheCallMessage[] | undefined {
  return current.getStore();
}

/** Sends what several calls share, for all of them. */
export function onBehalfOf<T>(sharing: readonly CacheCallMessage[], batchSize: number, send: () => T): T {
  for (const call of sharing) call.batchSize = batchSize;
  return current.run(sharing, send);
}

/** A command is sent again. */
export function countRetry(): void {
  for (const call of current.getStore() ?? []) call.retries++;
}

/** A call did not find its record. */
export function countMiss(): void {
  for (const call of current.getStore() ?? []) call.misses++;
}

/** A call from its beginning to its end. The promise that is given is the one of `run`. */
export function observeCall<T>(call: CacheCallMessage, run: () => Promise<T>, count: (value: T) => void): Promise<T> {
  isFollowing = true;
  return calls.start.runStores(call, () => {
    const result = current.run([call], run);
    calls.end.publish(call);
    const succeed = (value: T) => {
      count(value);
      settle(call);
    };
    result.then(succeed, (error: unknown) => settle(call, error));
    return result;
  });
}

/** A walk, from its first step to its last one. The time that the caller takes for each step is part of it. */
export async function* observeWalk<T>(call: CacheCallMessage, walk: () => AsyncIterable<T>): AsyncGenerator<T> {
  isFollowing = true;
  const steps = calls.start.runStores(call, () => walk()[Symbol.asyncIterator]());
  calls.end.publish(call);
  let failure: unknown;
  try {
    for (;;) {
      const step = await current.run([call], () => steps.next());
      if (step.done) return;
      yield step.value;
    }
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    await steps.return?.();
    settle(call, failure);
  }
}

function settle(call: CacheCallMessage, error?: unknown): void {
  if (error !== undefined) {
    call.failure = failureOf(error);
    calls.error.publish(call);
  }
  calls.asyncStart.publish(call);
  calls.asyncEnd.publish(call);
}

/** An error code of Redis. Whatever else a server's reply begins with is not told. */
const REPLY = /^[A-Z][A-Z\d_]{1,31}$/;

/** The error itself is not told: what an application throws may show anything, and so may a `code` that it gives to an error. */
function failureOf(error: unknown): CacheCallFailure {
  if (error instanceof CacheUnavailableError) {
    return { code: error.code, reason: error.reason, outcome: error.outcome };
  }
  if (error instanceof CacheCommandError) {
    return { code: error.code, reply: REPLY.test(error.reply) ? error.reply : 'ERR' };
  }
  const code = error instanceof RedisCacheError && CODES.find((known) => known === error.code);
  return { code: code || 'OTHER' };
}
