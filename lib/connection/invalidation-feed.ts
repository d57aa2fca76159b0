import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { describe } from './redis-failures.js';
import type { RedisLink } from './redis-link.js';
import { reset } from './socket-reset.js';

const CHANNEL = '__redis__:invalidate';
/** The pause before a lost feed is opened again, in ms; doubled with each failure, as it may have been refused for good. */
const PAUSE = 100;
const LONGEST_PAUSE = 5000;
/** How long opening a feed may take, in ms. */
const OPENED_WITHIN = 2000;
/** So many quarters of a lease without a PONG: the feed does not stall, it is dead. */
const DEAD_AFTER = 8;

/** @param key - `undefined`: take everything as changed */
type Listener = (key: string | undefined) => void;

interface Watch {
  readonly prefix: string;
  readonly onInvalid: Listener;
}

/**
 * A connection of its own on which Redis tells of every key that changes (CLIENT TRACKING in broadcasting mode,
 * https://redis.io/docs/latest/develop/reference/client-side-caching/). It redirects to itself, which Redis allows, so that
 * nothing depends on the other connection, and PONGs and invalidations come over one socket, in order.
 *
 * RESP2: ioredis 6.0 drops invalidations that come as RESP3 pushes. Opened only if somebody watches; follows one link, so
 * that after a failover it is never left with the old master.
 */
export class InvalidationFeed {
  /** When the last PING that was answered had been sent, by `performance.now()`. */
  provenAt = -Infinity;
  private readonly watches: Watch[] = [];
  private lease = Infinity;
  #link: RedisLink | undefined;
  /** The feed that is open or being opened. */
  #client: Redis | undefined;
  /** The one that listens to every prefix: only its PONGs prove anything. */
  #trusted: Redis | undefined;
  private lastProblem: string | undefined;

  constructor(private readonly warn: (message: string) => void) {}

  watch(prefix: string, lease: number, onInvalid: Listener): this {
    // Later than at boot (by a module that is loaded lazily): what is open now does not listen to this prefix.
    this.distrust();
    this.watches.push({ prefix, onInvalid });
    this.lease = Math.min(this.lease, lease);
    if (this.#client) this.#client.disconnect();
    else if (this.#link) this.follow(this.#link);
    return this;
  }

  /** Listens to the server that the link leads to, until the link ends. Without anybody watching, does nothing. */
  follow(link: RedisLink): void {
    this.#link = link;
    if (this.watches.length > 0) void this.run(link);
  }

  /**
   * Carries out a write of this process. Its keys count as changed before it is sent, and again when it is answered: a
   * read that began in between may have been carried out before it.
   */
  around<T>(keys: readonly string[], write: () => Promise<T>): Promise<T> {
    if (this.watches.length === 0) return write();
    const tellAll = () => keys.forEach((key) => this.tell(key));
    tellAll();
    return write().finally(tellAll);
  }

  private async run(link: RedisLink): Promise<void> {
    let client: Redis | undefined;
    void link.ended.then(() => client?.disconnect());
    for (let failures = 0; !link.hasEnded;) {
      try {
        client = link.twin();
        this.#client = client;
        await this.listen(client);
        failures = 0;
      } catch (error) {
        failures++;
        link.renewLogin(error);
        if (!link.hasEnded) this.report(describe(error).message);
      } finally {
        if (client && this.#trusted === client) this.distrust();
        if (client?.status !== 'end') client?.disconnect();
      }
      const pause = Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE);
      if (!link.hasEnded) await delay(pause, undefined, { ref: false });
    }
    if (this.#client === client) this.#client = undefined;
  }

  /** Resolves when the feed ends. */
  private async listen(client: Redis): Promise<void> {
    let reason: unknown; // the event tells it, the promise only that the connection was closed
    client.on('error', (error) => (reason = error));
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    const beat = this.lease / 4;
    let unanswered = 0;
    const prove = () => void this.prove(client).then(() => (unanswered = 0), ignore);
    const heartbeat = setInterval(() => {
      const isOpen = this.#trusted === client;
      const most = isOpen ? DEAD_AFTER : Math.max(DEAD_AFTER, OPENED_WITHIN / beat);
      if (unanswered++ >= most) reset(client.stream);
      else if (isOpen) prove();
    }, beat);
    try {
      await client.connect();
      const id = String(await client.client('ID'));
      const prefixes = [...new Set(this.watches.map(({ prefix }) => prefix))];
      const tracking = ['ON', 'REDIRECT', id, 'BCAST', ...prefixes.flatMap((prefix) => ['PREFIX', prefix])];
      await client.call('CLIENT', 'TRACKING', ...tracking);
      client.on('messageBuffer', (_channel: Buffer, keys: unknown) => this.deliver(keys));
      await client.subscribe(CHANNEL);
      this.distrust(); // reads that began before now may have missed something
      this.#trusted = client;
      this.lastProblem = undefined;
      prove();
      await ended;
    } catch (error) {
      throw reason ?? error;
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** Everything that was invalidated before a PING was sent has been delivered once it is answered. */
  private async prove(client: Redis): Promise<void> {
    const sentAt = performance.now();
    await client.ping();
    if (this.#trusted === client) this.provenAt = Math.max(this.provenAt, sentAt);
  }

  private deliver(keys: unknown): void {
    // null: FLUSHDB or FLUSHALL
    if (!Array.isArray(keys)) return this.tell(undefined);
    for (const key of keys as Buffer[]) this.tell(String(key));
  }

  private tell(key: string | undefined): void {
    for (const { prefix, onInvalid } of this.watches) {
      if (key === undefined || key.startsWith(prefix)) onInvalid(key);
    }
  }

  private distrust(): void {
    this.#trusted = undefined;
    this.provenAt = -Infinity;
    this.tell(undefined);
  }

  private report(problem: string): void {
    if (problem !== this.lastProblem) this.warn(`the near cache is bypassed: ${problem}`);
    this.lastProblem = problem;
  }
}

/** For PINGs: 'end' follows. */
function ignore(): void {}
