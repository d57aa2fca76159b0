import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { BehaviorSubject, distinctUntilChanged } from 'rxjs';
import type { Observable } from 'rxjs';
import { CacheConfigError, CacheUnavailableError } from '../redis-cache.errors.js';
import { Backoff } from './backoff.js';
import { bounded } from './bounded.js';
import type { ConnectionOptions } from './connection-options.js';
import { InFlight } from './in-flight.js';
import { InvalidationFeed } from './invalidation-feed.js';
import { createClient } from './redis-client.js';
import { RedisClock } from './redis-clock.js';
import type { Call, RedisCommand, RedisReply } from './redis-command.js';
import { describe, toRefusal } from './redis-failures.js';
import { RedisLink } from './redis-link.js';
import type { RedisNode } from './redis-link.js';
import { WaitingRoom } from './waiting-room.js';

/** See {@link RedisConnection.status}. */
export type ConnectionStatus = 'connecting' | 'ready' | 'down' | 'closed';

/** How long calls wait out an interruption, counted from its beginning, as a part of `timeout`. */
const BLIP = 1 / 4;
/** The pause before a refused or unsendable command is tried again on a connection that looks ready. */
const RETRY_PAUSE = 25;

/**
 * The supervised connection: the one place that decides what happens to calls when Redis is in trouble.
 *
 * | status       | meaning                                       | a call                                               |
 * | ------------ | --------------------------------------------- | ---------------------------------------------------- |
 * | `connecting` | not ready yet, within `startupTimeout`        | waits for it, for the call's own `timeout`           |
 * | `ready`      | logged in, database selected, PING answered   | is sent                                              |
 * | `down`       | lost or refused; new attempts every 25 ms–2 s | waits until `timeout / 4` after the loss, then fails |
 * | `closed`     | `close()` was called                          | fails                                                |
 *
 * When a connection is lost, commands in flight fail at once; reads are repeated on the next connection if it comes in
 * time, writes never: they may have been carried out (`unknown`). A refusal (login, database, certificate) before Redis
 * was ever ready is final and fails the boot; after that it is an outage like any other, since passwords get rotated.
 *
 * @example
 * ```ts
 * constructor(private readonly connection: RedisConnection) {
 *   connection.status$.subscribe((status) => gauge.set(status === 'ready' ? 1 : 0));
 * }
 * ```
 */
export class RedisConnection {
  /** The current status, then every change of it. Completes when the connection is closed. */
  readonly status$: Observable<ConnectionStatus>;

  private readonly statuses = new BehaviorSubject<ConnectionStatus>('connecting');
  private readonly waitingRoom = new WaitingRoom();
  private readonly inFlight = new InFlight();
  /** Holds the password: a private name is invisible to `inspect` and JSON. */
  readonly #options: ConnectionOptions;
  #link: RedisLink | undefined;
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  private failure: Error | undefined;
  private wasReady = false;
  private downSince = 0;
  #supervised: Promise<void> | undefined;
  readonly #abort = new AbortController();

  /** Tells which keys change. @internal */
  readonly feed: InvalidationFeed;
  /** What time it is for Redis. @internal */
  readonly clock = new RedisClock();

  /** @internal */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.feed = new InvalidationFeed(options.warn);
    this.status$ = this.statuses.pipe(distinctUntilChanged());
  }

  /** What the connection is doing now; see the table above. */
  get status(): ConnectionStatus {
    return this.statuses.value;
  }

  /** Why Redis is, or last was, not ready; `undefined` if it has been ready ever since. Shows no password. */
  get lastError(): Error | undefined {
    return this.failure;
  }

  /**
   * Asks Redis for a sign of life, within `timeout`.
   *
   * @throws CacheUnavailableError if none comes
   * @example
   * ```ts
   * await connection.ping(); // 'PONG'
   * ```
   */
  async ping(): Promise<'PONG'> {
    if (this.#options.address.kind !== 'memory') await this.send(['ping'], this.call(true));
    else if (this.status !== 'ready') throw this.notSent();
    return 'PONG';
  }

  /**
   * Starts connecting. With `startup: 'wait'` resolves once Redis is ready.
   *
   * @throws CacheConfigError if Redis refuses us; CacheUnavailableError if it is not ready within `startupTimeout`
   * @internal
   */
  open(): Promise<void> {
    this.#opening ??= this.start();
    return this.#opening;
  }

  /**
   * Lets calls in flight be answered, at most for `timeout`, then closes. Afterwards no socket, timer or listener is left.
   *
   * @internal
   */
  close(): Promise<void> {
    this.#closing ??= this.stop();
    return this.#closing;
  }

  /** A call that begins now. @internal */
  call(repeatable: boolean): Call {
    return { deadline: performance.now() + this.#options.timeout, repeatable };
  }

  /**
   * Sends one command and gives its reply; settles by the call's deadline.
   *
   * @throws CacheCommandError if Redis refuses it; CacheUnavailableError if there is no reply
   * @internal
   */
  send(command: RedisCommand, call: Call, node?: RedisNode): Promise<RedisReply> {
    return this.attempt(call, (link) => this.inFlight.send(link, command, call, node), node === undefined);
  }

  /** The nodes that together hold all keys, each key once. @internal */
  masters(call: Call): Promise<readonly RedisNode[]> {
    return this.attempt(call, async (link) => link.masters());
  }

  /** Whether keys live in slots, so that a command may name only keys of one slot. @internal */
  get isCluster(): boolean {
    const { client, address } = this.#options; // not of the link, which there may not be yet
    return client ? 'nodes' in client : address.kind === 'cluster';
  }

  /** @param anywhere - whether another link will do: what was meant for one node is of no use on another */
  private async attempt<T>(call: Call, action: (link: RedisLink) => Promise<T>, anywhere = true): Promise<T> {
    for (let repeated = false; ;) {
      const link = this.#link ?? (await this.nextLink(call));
      try {
        return await action(link);
      } catch (error) {
        if (!(error instanceof CacheUnavailableError) || !anywhere || !this.mayRetry(error, call, repeated))
          throw error;
        repeated ||= error.outcome === 'unknown';
        // Nobody got the command (or repeating it is harmless): wait for a better connection, or for this one to recover.
        await delay(RETRY_PAUSE);
      }
    }
  }

  private async start(): Promise<void> {
    if (this.#closing) throw this.notSent('closed');
    if (this.#options.address.kind === 'memory') return this.become('ready');
    const { startup, startupTimeout } = this.#options;
    this.#supervised = this.supervise();
    const started = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        subscription.unsubscribe();
        if (this.status === 'connecting') this.become('down');
        reject(this.bootFailure());
      }, startupTimeout);
      const subscription = this.status$.subscribe((status) => {
        if (status === 'connecting') return;
        clearTimeout(timer);
        if (status === 'ready') resolve();
        else reject(this.bootFailure());
        queueMicrotask(() => subscription.unsubscribe());
      });
    });
    if (startup === 'background') return void started.catch(() => undefined); // told by status$ and lastError
    try {
      await started;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** One connection after the other until `close()`. */
  private async supervise(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#closing) {
      try {
        const link = await this.connect();
        if (this.#closing) return link.close();
        const since = performance.now();
        await this.clock.follow(link.ended, () => this.inFlight.send(link, ['time'], this.call(true)));
        this.#link = link;
        this.become('ready');
        this.feed.follow(link);
        const reason = await link.ended;
        this.inFlight.abandon(link);
        backoff.lasted(performance.now() - since);
        this.fail(reason);
      } catch (error) {
        const refusal = this.#options.client ? undefined : toRefusal(error);
        this.fail(refusal ?? error);
        if (refusal && !this.wasReady && !this.#options.credentials) return this.become('down', -Infinity);
      }
      if (!this.#closing) await delay(backoff.next(), undefined, this.#abort).catch(() => undefined);
    }
  }

  private async connect(): Promise<RedisLink> {
    const { address, redis, client, credentials, timeout } = this.#options;
    const { signal } = this.#abort;
    if (client) return RedisLink.adopt(client, signal);
    const connectWithin = Math.min(Math.max(timeout, 1000), 5000);
    const login =
      credentials && (() => bounded((async () => credentials())(), connectWithin, signal, 'no credentials came'));
    const own = createClient(address, redis, (await login?.()) ?? {}, connectWithin);
    const db = redis.db ?? address.db;
    return RedisLink.open(own, { db, connectWithin, patience: Math.max(timeout, 100), login }, signal);
  }

  /** The link is gone, or could not be had. */
  private fail(error: unknown): void {
    this.#link = undefined;
    this.failure =
      error instanceof CacheConfigError ? error : describe(error ?? new Error('the connection was closed'));
    if (this.status === 'ready') this.become('down');
  }

  private become(status: ConnectionStatus, downSince = performance.now()): void {
    if (this.status === 'closed' || (this.#closing && status !== 'closed')) return;
    if (status === 'ready') {
      this.wasReady = true;
      this.failure = undefined;
    }
    if (status === 'down') this.downSince = downSince; // calls wait for a while, from then on
    this.statuses.next(status);
    if (status === 'closed') this.statuses.complete();
    this.waitingRoom.admitAll();
  }

  private async stop(): Promise<void> {
    const link = this.#link;
    const until = performance.now() + this.#options.timeout;
    // What waits for a connection that is not there will not get it any more; what was sent may still be answered.
    if (!link) this.become('closed');
    await this.inFlight.drain(until);
    this.become('closed');
    this.#link = undefined;
    link?.close(!this.inFlight.isEmpty);
    this.#abort.abort();
    // Asking a silent Sentinel cannot be cut short; its sockets close by themselves.
    await Promise.race([this.#supervised, delay(300, undefined, { ref: false })]);
  }

  private async nextLink(call: Call): Promise<RedisLink> {
    for (;;) {
      if (this.status === 'closed') throw this.notSent('closed');
      if (this.#link) return this.#link;
      const until = this.status === 'down' ? Math.min(call.deadline, this.blipEnd) : call.deadline;
      if (!(await this.waitingRoom.wait(until - performance.now()))) throw this.notSent();
    }
  }

  /** Until when a call waits out the interruption that is going on. */
  private get blipEnd(): number {
    return this.downSince + this.#options.timeout * BLIP;
  }

  private mayRetry(failure: CacheUnavailableError, call: Call, repeated: boolean): boolean {
    if (failure.reason !== 'disconnected' || performance.now() + RETRY_PAUSE >= call.deadline) return false;
    if (failure.outcome === 'unknown') return call.repeatable && !repeated;
    const begun = call.deadline - this.#options.timeout;
    return performance.now() - begun < this.#options.timeout * BLIP;
  }

  private bootFailure(): Error {
    return this.failure instanceof CacheConfigError ? this.failure : this.notSent();
  }

  private notSent(reason: 'disconnected' | 'closed' = 'disconnected'): CacheUnavailableError {
    const disconnected = this.#opening
      ? 'there is no connection to Redis'
      : 'the connection to Redis has not been opened: the application is not initialized';
    const message = reason === 'closed' ? 'the connection to Redis was closed by this application' : disconnected;
    return new CacheUnavailableError(reason, 'not-sent', message, { cause: this.failure });
  }
}
