import { clearInterval, delay, now, setInterval } from '../redis-cache.timers.js';
import { describe } from './failures.js';
import type { NodeLink } from './node-link.js';

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
  /** When the last PING that was answered had been sent, by the monotonic clock. */
  provenAt = -Infinity;
  private readonly watches: Watch[] = [];
  private lease = Infinity;
  #link: NodeLink | undefined;
  /** The link that is being listened beside, from the first attempt on. */
  #followed: NodeLink | undefined;
  /** The feed that is open or being opened. */
  #client: NodeLink | undefined;
  /** The one that listens to every prefix: only its PONGs prove anything. */
  #trusted: NodeLink | undefined;
  private lastProblem: string | undefined;

  constructor(private readonly warn: (message: string) => void) {}

  watch(prefix: string, lease: number, onInvalid: Listener): this {
    // Later than at boot (by a module that is loaded lazily): what is open now does not listen to this prefix.
    this.distrust();
    this.watches.push({ prefix, onInvalid });
    this.lease = Math.min(this.lease, lease);
    if (this.#client) this.#client.destroy(new Error('another store listens as well'));
    else if (this.#link) this.start(this.#link);
    return this;
  }

  /** Listens to the server that the link leads to, until the link ends. Without anybody watching, does nothing. */
  follow(link: NodeLink): void {
    if (this.#link === link) return;
    this.#link = link;
    if (this.watches.length > 0) this.start(link);
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

  private start(link: NodeLink): void {
    if (this.#followed === link) return;
    this.#followed = link;
    void this.run(link);
  }

  private async run(link: NodeLink): Promise<void> {
    const abort = new AbortController();
    void link.ended.then(() => abort.abort());
    for (let failures = 0; !link.hasEnded;) {
      let client: NodeLink | undefined;
      try {
        client = await link.twin(abort.signal);
        this.#client = client;
        await this.listen(client, abort.signal);
        failures = 0;
      } catch (error) {
        failures++;
        if (!link.hasEnded) this.report(describe(error instanceof Error ? (error.cause ?? error) : error).message);
      } finally {
        if (client && this.#trusted === client) this.distrust();
        client?.destroy(undefined);
        if (this.#client === client) this.#client = undefined;
      }
      if (!link.hasEnded) await delay(Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE), abort.signal);
    }
  }

  /** Resolves when the feed ends. */
  private async listen(client: NodeLink, signal: AbortSignal): Promise<void> {
    const openedBy = now() + OPENED_WITHIN;
    const id = String(await client.send(['client', 'ID'], openedBy));
    const prefixes = [...new Set(this.watches.map(({ prefix }) => prefix))];
    const tracking = ['ON', 'REDIRECT', id, 'BCAST', ...prefixes.flatMap((prefix) => ['PREFIX', prefix])];
    await client.send(['client', 'TRACKING', ...tracking], openedBy);
    client.onMessage((keys) => this.deliver(keys));
    await client.send(['subscribe', CHANNEL], openedBy);
    this.distrust(); // reads that began before now may have missed something
    this.#trusted = client;
    this.lastProblem = undefined;
    const beat = this.lease / 4;
    let unanswered = 0;
    const prove = () => void this.prove(client).then(() => (unanswered = 0), ignore);
    const heartbeat = setInterval(() => {
      if (unanswered++ >= DEAD_AFTER) client.destroy(new Error('the feed is dead'));
      else prove();
    }, beat);
    const end = () => client.destroy(undefined);
    signal.addEventListener('abort', end);
    prove();
    await client.ended;
    signal.removeEventListener('abort', end);
    clearInterval(heartbeat);
  }

  /** Everything that was invalidated before a PING was sent has been delivered once it is answered. */
  private async prove(client: NodeLink): Promise<void> {
    const sentAt = now();
    await client.send(['ping'], sentAt + DEAD_AFTER * this.lease);
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

/** For PINGs: the feed ends. */
function ignore(): void {}
