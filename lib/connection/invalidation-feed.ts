import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { describe } from './redis-failures.js';
import type { RedisLink } from './redis-link.js';
import { reset } from './socket-reset.js';

const CHANNEL = '__redis__:invalidate';
/** The pause before a lost feed is opened again, in ms. */
const PAUSE = 100;

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
  private lastProblem: string | undefined;

  constructor(private readonly warn: (message: string) => void) {}

  watch(prefix: string, lease: number, onInvalid: Listener): this {
    this.watches.push({ prefix, onInvalid });
    this.lease = Math.min(this.lease, lease);
    return this;
  }

  /** Listens to the server that the link leads to, until the link ends. Without anybody watching, does nothing. */
  follow(link: RedisLink): void {
    if (this.watches.length > 0) void this.run(link);
  }

  private async run(link: RedisLink): Promise<void> {
    let client: Redis | undefined;
    void link.ended.then(() => client?.disconnect());
    while (!link.hasEnded) {
      try {
        client = link.twin();
        await this.listen(client);
      } catch (error) {
        this.report(describe(error).message);
      } finally {
        this.lose();
        if (client?.status !== 'end') client?.disconnect();
      }
      if (!link.hasEnded) await delay(PAUSE);
    }
  }

  /** Resolves when the feed ends. */
  private async listen(client: Redis): Promise<void> {
    client.on('error', () => undefined); // 'end' follows
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    let unanswered = 0;
    const heartbeat = setInterval(() => {
      if (unanswered++ >= DEAD_AFTER) reset(client.stream);
      else if (client.status === 'ready') void this.prove(client).then(() => (unanswered = 0), ignore);
    }, this.lease / 4);
    try {
      await client.connect();
      const id = String(await client.client('ID'));
      const prefixes = [...new Set(this.watches.map(({ prefix }) => prefix))].flatMap((prefix) => ['PREFIX', prefix]);
      await client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, 'BCAST', ...prefixes);
      client.on('messageBuffer', (_channel: Buffer, keys: unknown) => this.deliver(keys));
      await client.subscribe(CHANNEL);
      this.lose(); // reads that began before now may have missed something
      this.lastProblem = undefined;
      await this.prove(client).catch(ignore);
      await ended;
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** Everything that was invalidated before a PING was sent has been delivered once it is answered. */
  private async prove(client: Redis): Promise<void> {
    const sentAt = performance.now();
    await client.ping();
    this.provenAt = Math.max(this.provenAt, sentAt);
  }

  private deliver(keys: unknown): void {
    // null: FLUSHDB or FLUSHALL
    if (!Array.isArray(keys)) return this.tellAll(undefined);
    for (const key of keys as Buffer[]) this.tellAll(String(key));
  }

  private tellAll(key: string | undefined): void {
    for (const { prefix, onInvalid } of this.watches) {
      if (key === undefined || key.startsWith(prefix)) onInvalid(key);
    }
  }

  private lose(): void {
    this.provenAt = -Infinity;
    this.tellAll(undefined);
  }

  private report(problem: string): void {
    if (problem !== this.lastProblem) this.warn(`the near cache is bypassed: ${problem}`);
    this.lastProblem = problem;
  }
}

/** For PINGs: 'end' follows. */
function ignore(): void {}
