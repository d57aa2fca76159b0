import { BehaviorSubject, distinctUntilChanged, filter, firstValueFrom } from 'rxjs';
import type { Observable } from 'rxjs';
import { CacheConfigError, CacheUnavailableError } from '../redis-cache.errors.js';
import { countRetry, tellConnection, tellNearCache } from '../redis-cache.diagnostics.js';
import type { CacheConnectionSource } from '../redis-cache.diagnostics.js';
import { bounded, delay, now, setImmediate } from '../redis-cache.timers.js';
import { pauseBefore } from './backoff.js';
import { mayRepeat } from './call.js';
import type { Call, RedisCommand, RedisReply } from './call.js';
import type { Redirection } from './failures.js';
import { InvalidationFeed } from './invalidation-feed.js';
import { NodeLink } from './node-link.js';
import { RedisClock } from './redis-clock.js';
import type { ConnectionOptions } from './settings.js';
import { createTopology } from './topology/create-topology.js';
import type { Route, Topology } from './topology/topology.js';
import { WaitingRoom } from './waiting-room.js';

/** So many redirections are followed at once; then there is a pause before each. */
const QUICK_REDIRECTIONS = 5;

/** See {@link RedisConnection.status}. */
export type ConnectionStatus = 'connecting' | 'ready' | 'degraded' | 'down' | 'closed';

/**
 * The supervised connection to Redis.
 *
 * | status       | meaning                                                   | a call                                               |
 * | ------------ | --------------------------------------------------------- | ---------------------------------------------------- |
 * | `connecting` | not ready yet, within `startupTimeout`                    | waits for it, for the call's own `timeout`           |
 * | `ready`      | logged in, database selected, PING answered               | is sent                                              |
 * | `degraded`   | a Cluster of which a master cannot be reached             | fails as when `down` if its key is there; else is sent |
 * | `down`       | lost or refused (a Cluster: all masters); tried again     | waits until `timeout / 4` after the loss, then fails |
 * | `closed`     | the application has shut down                             | fails                                                |
 *
 * A refusal (login, database, certificate) before Redis was ever ready fails the boot; with `startup: 'background'`, or where
 * `credentials` may give others, it is tried again. Later on it is an outage like any other, since passwords get rotated.
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
  /** Holds the password: a private name is invisible to `inspect` and JSON. */
  readonly #options: ConnectionOptions;
  /** `undefined` for `memory:`, which is always ready. */
  readonly #topology: Topology | undefined;
  readonly #waitingRoom = new WaitingRoom();
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  private failure: Error | undefined;
  #links: readonly NodeLink[] = [];
  /** What was told of the last refusal since Redis was ready. */
  private refusal: string | undefined;
  private wasReady = false;

  /** Changes when a connection is lost: what comes instead may lack what its server acknowledged, and did not pass on. @internal */
  generation = 0;
  /** Tells which keys change. @internal */
  readonly feed: InvalidationFeed;
  /** What time it is for Redis. @internal */
  readonly clock = new RedisClock();

  /** The module makes connections; an application injects them. */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.feed = new InvalidationFeed(options.warn, (event, reason) =>
      tellNearCache(() => ({ ...this.source, event, ...(reason !== undefined && { reason }) })),
    );
    this.status$ = this.statuses.pipe(distinctUntilChanged());
    if (options.address.kind !== 'memory') this.#topology = createTopology(options, this.clock, () => this.#changed());
  }

  /** What the connection is doing now; see the table above. */
  get status(): ConnectionStatus {
    return this.statuses.value;
  }

  /** Where it leads to, for observers. @internal */
  get source(): CacheConnectionSource {
    const { name: connection = 'default', address } = this.#options;
    const { path, endpoints, db: database } = address;
    if (path !== undefined) return { connection, address: path, database };
    return { connection, ...(endpoints[0] && { address: endpoints[0].host, port: endpoints[0].port }), database };
  }

  /** Why Redis is, or last was, not ready; `undefined` if it has been ready ever since. Names the address, and shows no password. */
  get lastError(): Error | undefined {
    return this.failure;
  }

  /**
   * Asks Redis for a sign of life, within `timeout`; on a Cluster every master.
   *
   * @throws CacheUnavailableError if none comes; CacheCommandError of a server that cannot save (MISCONF), which takes no writes
   * @example
   * ```ts
   * await connection.ping(); // 'PONG'
   * ```
   */
  async ping(): Promise<'PONG'> {
    try {
      const call = this.call(true);
      if (this.isCluster) {
        const masters = await this.masters(call);
        await Promise.all(masters.map((link) => this.send(['ping'], call, link)));
      } else if (this.#topology) await this.send(['ping'], call);
      else if (this.status !== 'ready') throw this.#unavailable();
      return 'PONG';
    } catch (error) {
      throw retraced(error);
    }
  }

  /**
   * Starts connecting. With `startup: 'wait'` resolves once Redis is ready.
   *
   * @throws CacheConfigError if Redis refuses us; CacheUnavailableError if it is not ready within `startupTimeout`
   * @internal
   */
  open(): Promise<void> {
    this.#opening ??= this.#start();
    return this.#opening;
  }

  /**
   * Lets calls in flight be answered, those of the same turn included, at most for `timeout`, then closes. Afterwards no socket, timer or listener is left.
   *
   * @internal
   */
  close(): Promise<void> {
    // Calls of this turn leave at its end.
    this.#closing ??= new Promise(setImmediate).then(() => this.#stop());
    return this.#closing;
  }

  /** A call that begins now. @internal */
  call(repeatable: boolean): Call {
    return { deadline: now() + this.#options.timeout, repeatable };
  }

  /**
   * Sends one command to where its key is, or to the very server that a link leads to, and gives its reply; settles by the call's
   * deadline. The first command opens the connection, if nobody has yet. What nobody carried out is sent again after a short
   * interruption, what was lost only if that does no harm.
   *
   * @throws CacheCommandError if Redis refuses it; CacheUnavailableError if there is no reply
   * @internal
   */
  async send(words: RedisCommand, call: Call, to?: NodeLink): Promise<RedisReply> {
    if (to) return to.send(words, call.deadline).catch((error: unknown) => Promise.reject(retraced(error)));
    const topology = this.#topology;
    if (!topology) throw this.#unavailable();
    let redirection: Redirection | undefined;
    for (let failures = 0, repeated = false; ; failures++) {
      const route = topology.route(words, redirection);
      const link = route instanceof NodeLink ? route : await this.#link(() => topology.route(words, redirection), call);
      if (call.generation !== undefined && call.generation !== this.generation) throw this.#unavailable();
      try {
        // In the same turn, so that it stands directly before the command.
        const isAsked = redirection?.kind === 'ASK';
        call.prelude?.(isAsked ? undefined : link);
        if (isAsked) link.send(['asking'], call.deadline).catch(() => undefined);
        const over = call.aside && !isAsked ? await link.aside(call.deadline) : link;
        return await over.send(words, call.deadline, call.replySize);
      } catch (error) {
        redirection = topology.redirection(error, link);
        if (redirection ? now() >= call.deadline : !mayRepeat(error, call, this.#options.timeout, repeated))
          throw error;
        if (redirection && failures < QUICK_REDIRECTIONS) continue;
        repeated ||= error instanceof CacheUnavailableError && error.outcome === 'unknown';
        await delay(pauseBefore(redirection ? failures - QUICK_REDIRECTIONS : failures));
        countRetry();
      }
    }
  }

  /**
   * Links to the nodes that together hold all keys, each key once.
   *
   * @throws CacheUnavailableError if one of them cannot be reached: a walk over the others would pass for complete
   * @internal
   */
  async masters(call: Call): Promise<readonly NodeLink[]> {
    const topology = this.#topology;
    if (!topology) throw this.#unavailable();
    await this.#link(() => topology.route(), call);
    const nodes = await topology.masters(call.deadline - now());
    if (!nodes) throw this.#unavailable();
    return Promise.all(nodes.map((node) => this.#link(() => node.route(), call)));
  }

  /** Changes whenever keys may have moved from one node to another. @internal */
  get version(): number {
    return this.#topology?.version ?? 0;
  }

  /** Whether keys live in slots, so that a command may name only keys of one slot. @internal */
  get isCluster(): boolean {
    return this.#options.address.kind === 'cluster';
  }

  /** Waits for a link, as long as there is hope for one. @throws CacheUnavailableError */
  async #link(route: () => Route, { deadline }: Call): Promise<NodeLink> {
    for (;;) {
      const found = route();
      if (found instanceof NodeLink) return found;
      const isChanged = await this.#waitingRoom.wait(Math.min(found.until, deadline) - now());
      if (!isChanged) throw this.#unavailable(found.reason);
    }
  }

  async #start(): Promise<void> {
    if (this.#closing) throw this.#unavailable();
    if (!this.#topology) return this.#become('ready');
    const { startup, startupTimeout, credentials } = this.#options;
    this.#topology.open();
    if (startup === 'background') return; // told by status$ and lastError
    // Other credentials may come.
    const mayBeLetIn = () => credentials !== undefined && this.failure instanceof CacheConfigError;
    const isDecided = (status: ConnectionStatus) => (status === 'down' ? !mayBeLetIn() : status !== 'connecting');
    const decision = firstValueFrom(this.status$.pipe(filter(isDecided)), { defaultValue: 'closed' });
    const status = await bounded(decision, startupTimeout, 'not ready in time').catch(() => 'down');
    if (status === 'ready' || status === 'degraded') return;
    const error = this.failure instanceof CacheConfigError ? this.failure : this.#unavailable();
    await this.close();
    throw error;
  }

  async #stop(): Promise<void> {
    if (this.#topology) await this.#topology.close(now() + this.#options.timeout);
    this.feed.close();
    this.#become('closed');
  }

  /** Something has happened to a node. */
  #changed(): void {
    const { status, reason, links } = this.#topology?.condition ?? { status: 'down' as const, links: [] };
    if (this.#links.some((link) => !links.includes(link))) this.generation++;
    this.#links = links;
    this.#waitingRoom.admitAll();
    if (this.status === 'closed' || this.#closing) return;
    const isFirst = reason !== undefined && this.failure === undefined;
    const isRefusal = reason instanceof CacheConfigError && reason.message !== this.refusal;
    if (isRefusal) this.refusal = reason.message;
    if (status === 'ready') this.failure = this.refusal = undefined;
    else if (reason) this.failure = reason;
    // Of what else happens the status tells.
    if (status === 'connecting' ? isFirst && !this.wasReady : isRefusal && status === this.status) {
      this.#options.warn(`Redis is ${this.wasReady ? status : 'not ready yet'}: ${reason?.message}; trying again`);
    }
    this.#become(status);
    this.feed.follow(links, this.version);
  }

  #become(status: ConnectionStatus): void {
    if (status === 'ready') this.wasReady = true;
    const { status: previous } = this;
    if (status !== previous) {
      const reason = status !== 'ready' && this.failure && { reason: this.failure.message };
      tellConnection(() => ({ ...this.source, status, previous, ...reason }));
      this.statuses.next(status);
    }
    if (status === 'closed') this.statuses.complete();
  }

  get #label(): string {
    return this.#options.name === undefined ? 'Redis' : `Redis (${this.#options.name})`;
  }

  #unavailable(cause = this.failure): CacheUnavailableError {
    const [reason, message] =
      this.status === 'closed' || this.#closing
        ? (['closed', `this application closed the connection to ${this.#label}`] as const)
        : (['disconnected', `there is no connection to ${this.#label}`] as const);
    return new CacheUnavailableError(reason, 'not-sent', message, { cause });
  }
}

/** With a stack from here, where those who await the call are on it: where a reply came, nobody was. */
function retraced(error: unknown): unknown {
  if (error instanceof Error) Error.captureStackTrace(error);
  return error;
}
