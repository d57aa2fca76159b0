import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import type { RedisClient } from './redis-client.js';
import { PendingCommand } from './redis-command.js';
import { reset } from './socket-reset.js';

/** What a node's socket had received when we last looked, and since when it is silent. */
interface Pulse {
  bytesRead: number;
  silentSince: number;
  pinged?: PendingCommand | undefined;
}

/** A node that commands can be addressed to. */
export type RedisNode = Redis;

interface LinkOptions {
  /** The database to select. */
  readonly db: number;
  /** The time for connecting, login and all; also for how long a node that owes a reply may be silent. In ms. */
  readonly patience: number;
}

/**
 * One connection (on Cluster: one set of connections) from the moment it can be used to its end; never reused.
 *
 * A node is found dead by silence: four times within `patience` we look whether bytes have arrived. If none have, it is
 * sent a PING, and if that brings none either its socket is reset. This finds frozen servers and half-open
 * connections, also when nobody calls. A client that the user brought is only watched: never closed, never reset.
 */
export class RedisLink {
  /** Resolves, with what ended it, when the connection is gone; never rejects. */
  readonly ended: Promise<unknown>;
  hasEnded = false;
  private readonly pulses = new WeakMap<Redis, Pulse>();
  private readonly corked = new Set<Redis>();
  private heartbeat: NodeJS.Timeout | undefined;
  private lastError: unknown;
  private end: () => void = () => undefined;

  private constructor(
    private readonly client: RedisClient,
    /** Absent: the client is the user's. */
    private readonly own?: LinkOptions,
  ) {
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
        resolve(this.lastError);
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
    const link = new RedisLink(client, options);
    const abandon = () => {
      link.lastError ??= new Error(`Redis did not get ready within ${options.patience} ms`);
      link.close();
    };
    const timer = setTimeout(abandon, options.patience);
    signal.addEventListener('abort', abandon);
    try {
      signal.throwIfAborted();
      await link.connect(options);
      return link;
    } catch (error) {
      link.close();
      // The event tells why; the promise only that the connection was closed.
      throw link.lastError ?? error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
    }
  }

  /** Waits until the user's own client is ready, for as long as that takes. */
  static async adopt(client: RedisClient, signal: AbortSignal): Promise<RedisLink> {
    if (client.status === 'wait') client.connect().catch(() => undefined); // told by the 'error' event
    if (client.status !== 'ready') await once(client, 'ready', { signal });
    return new RedisLink(client);
  }

  /** Hands a command to ioredis; what is sent in one turn of the event loop leaves in one packet. */
  send(command: PendingCommand, node?: Redis): void {
    const target = node ?? this.client;
    if (!(target instanceof Cluster)) this.cork(target);
    target.sendCommand(command);
  }

  /** The nodes that together hold all keys, each key once. */
  masters(): readonly Redis[] {
    return this.client instanceof Cluster ? this.client.nodes('master') : [this.client];
  }

  /** A client of its own for the very server that this link leads to (on Sentinel: whatever the sentinels say by now). */
  twin(): Redis {
    const [node] = this.masters();
    if (!node) throw new Error('no node');
    const { host, path, tls } = node.options;
    const { remoteAddress, remotePort } = node.stream as Partial<Socket>;
    return node.duplicate({
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
    });
  }

  get isCluster(): boolean {
    return this.client instanceof Cluster;
  }

  /** Ends this connection because it leads to a server that no longer serves. A Cluster finds the new one by itself. */
  recycle(): void {
    if (this.own && !this.isCluster) this.client.disconnect();
  }

  /**
   * A command got no reply within its time. If a PING has gone unanswered for long as well, the socket is reset without
   * waiting further, so that what the kernel still holds is not delivered after the caller was told of the failure.
   */
  suspect(): void {
    if (this.own) this.check(this.own.patience / 2);
  }

  /** Ends an owned connection; `abandon` says that commands are in flight, which must not be delivered any more. */
  close(abandon = true): void {
    if (!this.own) return this.end();
    clearInterval(this.heartbeat);
    if (abandon) for (const node of this.nodes()) reset(node.stream);
    this.client.disconnect();
  }

  private async connect({ db, patience }: LinkOptions): Promise<void> {
    await this.client.connect();
    const handshake: PendingCommand[] = [];
    if (db > 0) handshake.push(new PendingCommand(['SELECT', String(db)]));
    // PING is refused while the data set is being loaded, on a replica without a master, and without a login.
    handshake.push(new PendingCommand(['PING']));
    for (const command of handshake) this.client.sendCommand(command);
    await Promise.all(handshake.map(({ promise }) => promise)).catch((error: unknown) => {
      this.lastError = error;
      throw error;
    });
    this.heartbeat = setInterval(() => this.check(patience), patience / 4).unref();
  }

  private readonly remember = (error: unknown): void => {
    this.lastError = error;
  };

  private nodes(): readonly Redis[] {
    return this.client instanceof Cluster ? this.client.nodes('all') : [this.client];
  }

  /** Pings what has been silent since the last look, and resets what has left a PING unanswered for longer than `limit`. */
  private check(limit: number): void {
    for (const node of this.nodes()) {
      if (node.status !== 'ready') continue;
      const { bytesRead } = node.stream;
      const now = performance.now();
      const pulse = this.pulses.get(node);
      if (!pulse || pulse.bytesRead !== bytesRead) {
        this.pulses.set(node, { bytesRead, silentSince: now, pinged: pulse?.pinged });
      } else if (!pulse.pinged || pulse.pinged.isSettled) {
        pulse.silentSince = now;
        pulse.pinged = new PendingCommand(['PING']);
        pulse.pinged.promise.catch(() => undefined); // any reply is a sign of life
        node.sendCommand(pulse.pinged);
      } else if (now - pulse.silentSince >= limit) {
        // After a stall of our own event loop the reply may be waiting to be read: look again when it has been.
        setImmediate(() => {
          if (node.status !== 'ready' || node.stream.bytesRead !== bytesRead) return;
          this.lastError = new Error(`Redis sent nothing for ${Math.round(performance.now() - pulse.silentSince)} ms`);
          reset(node.stream);
        });
      }
    }
  }

  private cork(node: Redis): void {
    if (this.corked.has(node)) return;
    const { stream } = node;
    this.corked.add(node);
    stream.cork();
    process.nextTick(() => {
      this.corked.delete(node);
      stream.uncork();
    });
  }
}
