import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Cluster, Redis } from 'ioredis';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { bounded } from './bounded.js';
import { Pulse } from './pulse.js';
import { renewLogin, untraced } from './redis-client.js';
import type { RedisClient, RedisCredentials } from './redis-client.js';
import { PendingCommand } from './redis-command.js';
import type { RedisCommand } from './redis-command.js';
import { replyCode } from './redis-failures.js';
import { reset } from './socket-reset.js';

/** So many commands leave as one packet, which Redis works on while the next is made. */
const PACKET = 32;
/** How often a Cluster is asked who has which slots, in ms. */
const REFRESH_INTERVAL = 1000;

const TURNED_AWAY = 'the server ended the connection without an answer; does it want TLS on this port (rediss://)?';

/** A node that commands can be addressed to. */
export type RedisNode = Redis;

interface LinkOptions {
  /** The database to select. */
  readonly db: number;
  /** The time for connecting, login and all, in ms. */
  readonly connectWithin: number;
  /** For how long a node that owes a reply may be silent, in ms. */
  readonly patience: number;
  /** Asks for credentials; absent: they never change. */
  readonly login?: (() => Promise<RedisCredentials>) | undefined;
}

/**
 * One connection (on Cluster: one set of connections) from the moment it can be used to its end; never reused.
 *
 * Four times within `patience` it is looked after: see {@link Pulse} for how a dead node is found. A client that the user
 * brought is only watched: never closed, never reset.
 */
export class RedisLink {
  /** Resolves, with what ended it, when the connection is gone; never rejects. */
  readonly ended: Promise<unknown>;
  hasEnded = false;
  // Private names for what leads to passwords and arguments: `inspect` and JSON do not see them.
  readonly #client: RedisClient;
  /** Absent: the client is the user's. */
  readonly #own: LinkOptions | undefined;
  readonly #pulse = new Pulse((reason) => (this.#lastError = reason));
  /** To be told of a further connection that failed. */
  readonly renewLogin: (failure: unknown) => void;
  /** The socket that is corked until the turn of the event loop is over, and how many commands it was given. */
  #packet: { readonly stream: Redis['stream']; size: number } | undefined;
  private heartbeat: NodeJS.Timeout | undefined;
  private refreshedAt = performance.now();
  #lastError: unknown;
  private end: () => void = () => undefined;

  private constructor(client: RedisClient, own?: LinkOptions) {
    this.#client = client;
    this.#own = own;
    this.renewLogin = own?.login ? renewLogin(client, own.login) : () => undefined;
    // A client of ours always comes to its end; `close` may be followed by a reconnect of the user's own client.
    const endEvent = own ? 'end' : 'close';
    client.on('error', this.remember);
    this.ended = new Promise((resolve) => {
      this.end = () => {
        this.hasEnded = true;
        clearInterval(this.heartbeat);
        client.off(endEvent, this.end);
        // One of ours keeps the listener: ioredis may emit a late error, and one without a listener is printed.
        if (!own) client.off('error', this.remember);
        // On Sentinel, what ioredis keeps beside the socket: its subscriptions to the sentinels.
        if (own && client instanceof Redis && client.options.sentinels) client.disconnect();
        resolve(this.#lastError);
      };
      client.on(endEvent, this.end);
    });
  }

  /**
   * Connects, logs in, selects the database and sees Redis answer a PING.
   *
   * @throws whatever ioredis or Redis said
   */
  static async open(client: RedisClient, options: LinkOptions, signal: AbortSignal): Promise<RedisLink> {
    const { connectWithin, patience } = options;
    const link = new RedisLink(client, options);
    try {
      // Not every `connect()` of ioredis settles when it is cut short.
      await bounded(
        link.connect(options, signal),
        connectWithin,
        signal,
        `Redis did not get ready within ${connectWithin} ms${tlsHint(client)}`,
      );
      link.heartbeat = setInterval(() => {
        link.refresh();
        link.check(patience);
      }, patience / 4).unref();
      return link;
    } catch (error) {
      const isTurnedAway = wasTurnedAway(client);
      link.close();
      if (isTurnedAway) throw new Error(TURNED_AWAY, { cause: error });
      // The event tells why; the promise only that the connection was closed.
      throw link.#lastError ?? error;
    }
  }

  /** Waits until the user's own client is ready, for as long as that takes. */
  static async adopt(client: RedisClient, signal: AbortSignal): Promise<RedisLink> {
    if (client.status === 'wait') client.connect().catch(() => undefined); // told by the 'error' event
    if (client.status !== 'ready') await once(client, 'ready', { signal });
    return new RedisLink(client);
  }

  /** Hands a command to ioredis. What is sent in one turn of the event loop leaves in few packets; a batch leaves at once. */
  send(command: PendingCommand, node?: Redis, isBatch = false): void {
    const target = node ?? this.#client;
    if (!isBatch && target === this.#client && target instanceof Redis) this.cork(target);
    const end = command.reject;
    target.sendCommand(command);
    if (target instanceof Cluster) keepHonest(command, end);
  }

  /**
   * The nodes that together hold all keys, each key once.
   *
   * @throws CacheUnavailableError if a Cluster lacks one of them: a walk over the others would pass for complete
   */
  masters(): readonly Redis[] {
    const client = this.#client;
    if (!(client instanceof Cluster)) return [client];
    const masters = client.nodes('master');
    const known = new Set(masters.map(({ options: { host, port } }) => `${host}:${port}`));
    const owners = client.slots.map(([owner]) => owner ?? '');
    if (masters.length > 0 && owners.every((owner) => known.has(owner))) return masters;
    client.refreshSlotsCache();
    throw new CacheUnavailableError('disconnected', 'not-sent', 'a master of the Redis Cluster cannot be reached');
  }

  /** A client of its own for the very server that this link leads to (on Sentinel: whatever the sentinels say by now). */
  twin(): Redis {
    const [node] = this.masters();
    if (!node) throw new Error('no node');
    const { host, path, tls } = node.options;
    const { remoteAddress, remotePort } = node.stream as Partial<Socket>;
    const twin = node.duplicate({
      // ioredis looks at whether there are sentinels, but does not declare that there may be none.
      ...({ sentinels: null } as object),
      ...(remoteAddress !== undefined &&
        remotePort !== undefined &&
        !path && { host: remoteAddress, port: remotePort }),
      ...(tls && { tls: { ...tls, servername: tls.servername ?? (isIP(host ?? '') ? '' : host) } }),
      protocol: 2,
      lazyConnect: true,
      retryStrategy: null,
      enableReadyCheck: false,
      autoResubscribe: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      enableAutoPipelining: false,
    });
    return untraced(twin);
  }

  get isCluster(): boolean {
    return this.#client instanceof Cluster;
  }

  /** Ends this connection because it leads to a server that no longer serves. A Cluster finds the new one by itself. */
  recycle(reason: Error): void {
    if (!this.#own || this.isCluster) return;
    this.#lastError = reason;
    this.#client.disconnect();
  }

  /**
   * A command got no reply within its time. If a PING has gone unanswered for long as well, the socket is reset without
   * waiting further, so that what the kernel still holds is not delivered after the caller was told of the failure.
   */
  suspect(): void {
    // Within half of the patience a PING has been sent for sure, so that here it is at least about as old as that.
    if (this.#own) this.check(this.#own.patience / 3);
  }

  /** Ends an owned connection; `abandon` says that commands are in flight, which must not be delivered any more. */
  close(abandon = true): void {
    if (this.#own) {
      if (abandon) for (const node of this.nodes()) reset(node.stream);
      this.#client.disconnect();
    }
    this.end(); // ioredis does not always say so
  }

  private async connect({ db, connectWithin }: LinkOptions, signal: AbortSignal): Promise<void> {
    const client = this.#client;
    await client.connect();
    const handshake: Promise<unknown>[] = [];
    const ask = (node: Redis, ...command: RedisCommand) => {
      const pending = new PendingCommand(command);
      node.sendCommand(pending);
      handshake.push(pending.promise);
    };
    if (client instanceof Cluster) {
      // Every master, so that the first calls find connections. But those that there are serve without the others.
      for (const node of client.nodes('master')) ask(node, 'ping');
      await bounded(Promise.allSettled(handshake), connectWithin / 3, signal, 'a node is silent').catch(
        () => undefined,
      );
      await Promise.any(handshake).catch(({ errors }: AggregateError) => this.refuse(errors[0]));
      return;
    }
    const { username, password } = client.options;
    // Once more, since ioredis only warns when a password is refused because the server has none.
    if (password) ask(client, 'auth', ...(username ? [username] : []), password);
    if (db > 0) ask(client, 'select', String(db));
    // PING is refused while the data set is being loaded, on a replica without a master, and without a login.
    ask(client, 'ping');
    await Promise.all(handshake).catch((error: unknown) => this.refuse(error));
  }

  private refuse(error: unknown): never {
    this.#lastError = error;
    throw error;
  }

  private readonly remember = (error: unknown): void => {
    this.#lastError = error;
  };

  private nodes(): readonly Redis[] {
    return this.#client instanceof Cluster ? this.#client.nodes('all') : [this.#client];
  }

  /** Lets a Cluster ask who has which slots. */
  private refresh(): void {
    if (!(this.#client instanceof Cluster) || performance.now() - this.refreshedAt < REFRESH_INTERVAL) return;
    this.refreshedAt = performance.now();
    this.#client.refreshSlotsCache();
  }

  private check(limit: number): void {
    // A Cluster without a single connection does not notice that it has none: replicas that were never needed count.
    if (this.isCluster && !this.nodes().some(({ status }) => status === 'ready')) return this.close();
    for (const node of this.nodes()) this.#pulse.check(node, limit);
  }

  private cork(client: Redis): void {
    const { stream } = client as { stream: Redis['stream'] | undefined };
    if (!stream) return; // a client that was brought along and lost its connection
    const open = this.#packet;
    if (open?.stream === stream) {
      if (++open.size % PACKET > 0) return;
      stream.uncork();
      return stream.cork();
    }
    const packet = { stream, size: 1 };
    this.#packet = packet;
    stream.cork();
    process.nextTick(() => {
      if (this.#packet === packet) this.#packet = undefined;
      stream.uncork();
    });
  }
}

/** A server without TLS takes the handshake for the beginning of a command, and waits for its end. */
function tlsHint(client: RedisClient): string {
  return client instanceof Redis && client.options.tls ? '; does it speak TLS on this port?' : '';
}

/** A server with TLS ends a connection that begins without the handshake, and says nothing. */
function wasTurnedAway(client: RedisClient): boolean {
  if (!(client instanceof Redis) || client.options.tls) return false;
  const stream = client.stream as Redis['stream'] | undefined;
  return stream?.destroyed === true && stream.bytesWritten > 0 && stream.bytesRead === 0;
}

/**
 * Cluster decides in `reject` whether it sends a command again. After an error reply it may: nothing was carried out, so
 * that from then on it counts as not written. After a lost connection it may not; ours are told so by their options.
 */
function keepHonest(command: PendingCommand, end: PendingCommand['reject']): void {
  const redirect = command.reject;
  command.reject = (error) => {
    if (replyCode(error) === undefined) return end(error);
    command.written = false;
    redirect(error);
  };
}
