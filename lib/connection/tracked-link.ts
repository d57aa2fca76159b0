import { clearInterval, delay, now, setInterval, wallNow } from '../redis-cache.timers.js';
import { CacheCommandError, CacheUnavailableError } from '../redis-cache.errors.js';
import { describe } from './failures.js';
import type { NodeLink } from './node-link.js';

const CHANNEL = '__redis__:invalidate';
/** The pause before a lost feed is opened again, in ms; doubled with each failure, as it may have been refused for good. */
const PAUSE = 100;
const LONGEST_PAUSE = 5000;
/** How long opening a feed may take, in ms. */
const OPENED_WITHIN = 2000;
/** So many quarters of a lease without an answer: the feed does not stall, it is dead. */
const DEAD_AFTER = 8;

/**
 * How far the invalidations of what was read over one link have come in: all of them up to these moments have been delivered.
 * `-Infinity`: nothing is known (any more). Renewed several times within a lease.
 */
export class Coverage {
  /** By the monotonic clock. */
  provenAt = -Infinity;
  /** By the wall clock, which goes on while the machine sleeps. */
  provenAtByWall = -Infinity;
  /** A key that was read: asking for it shows that the server still serves it. */
  sample?: string;
}

export interface TrackedLinkOptions {
  /** How long copies may live without proof, in ms. */
  readonly lease: () => number;
  /** The record under a key has changed. */
  readonly onInvalid: (key: string) => void;
  /** Copies that were read under a coverage are worth nothing any more. */
  readonly onLost: (coverage: Coverage) => void;
  /** Why copies cannot be kept; `undefined`: they can, again. */
  readonly onProblem: (problem: string | undefined) => void;
}

/**
 * A link over which records are read, and the feed beside it: a connection to the same server on which Redis tells of each key
 * that was read with {@link track} and has changed since (CLIENT TRACKING by key, redirected,
 * https://redis.io/docs/latest/develop/reference/client-side-caching/). Lives as long as the link.
 *
 * Redis tells once for each read, and only as long as both connections live and are on the same server. So:
 * - both run ids are compared before tracking begins: behind a balancer one address leads to several servers;
 * - a proof is an answer of both, as Redis forgets what was read over a connection that it has closed. On a Cluster the link is asked
 *   for a key, which a server that was replaced does not serve;
 * - with the loss of either all copies are lost, as well as when keys were moved from or to the server.
 *
 * The feed speaks RESP2: ioredis 6.0 drops invalidations that come as RESP3 pushes.
 */
export class TrackedLink {
  #coverage: Coverage | undefined;
  #feed: NodeLink | undefined;
  /** Why the present feed had to be given up. */
  #failure: unknown;

  constructor(
    private readonly link: NodeLink,
    private readonly options: TrackedLinkOptions,
  ) {
    void this.#run();
  }

  /**
   * To be called directly before a read of one key is sent over the link: Redis will tell of its next change. What it brings may be kept
   * under the coverage; `undefined`: it may not.
   */
  track(key: string, deadline: number): Coverage | undefined {
    const coverage = this.#coverage;
    if (!coverage) return undefined;
    coverage.sample = key;
    // Refused, it has not tracked anything: its reply comes before that of the read.
    this.link.send(['client', 'CACHING', 'YES'], deadline).catch((error: unknown) => {
      if (error instanceof CacheCommandError && coverage === this.#coverage) this.#fail(error);
    });
    return coverage;
  }

  /** What was read so far counts no more: keys were moved from or to the server, or it was emptied. */
  renew(): void {
    if (!this.#coverage || !this.#feed) return;
    this.#uncover();
    this.#coverage = new Coverage();
    void this.#prove(this.#feed, this.#coverage);
  }

  /** Opens another feed in the place of the present one. */
  reopen(reason: Error): void {
    this.#feed?.destroy(reason);
  }

  async #run(): Promise<void> {
    const link = this.link;
    const abort = new AbortController();
    void link.ended.then((reason) => {
      abort.abort();
      this.#uncover();
      this.#feed?.destroy(reason);
    });
    for (let failures = 0; !link.hasEnded;) {
      this.#failure = undefined;
      try {
        this.#feed = await link.twin(abort.signal);
        await this.#listen(this.#feed);
        failures = 0;
      } catch (error) {
        failures++;
        this.#report(error);
      } finally {
        this.#uncover();
        this.#feed?.destroy(undefined);
        this.#feed = undefined;
      }
      if (!link.hasEnded) await delay(Math.min(PAUSE * 2 ** failures, LONGEST_PAUSE), abort.signal);
    }
  }

  /** Resolves when the feed ends. */
  async #listen(feed: NodeLink): Promise<void> {
    const link = this.link;
    const openedBy = now() + OPENED_WITHIN;
    const id = String(await feed.send(['client', 'ID'], openedBy));
    const runIds = await Promise.all([feed, link].map((each) => runIdOf(each, openedBy)));
    if (runIds[0] !== runIds[1]) throw new Error('the feed of invalidations leads to another server than the reads');
    feed.onMessage((keys) => this.#deliver(keys));
    await feed.send(['subscribe', CHANNEL], openedBy);
    // Together, since CACHING is meant for the next command: here for one that reads nothing.
    await Promise.all([
      link.send(['client', 'TRACKING', 'ON', 'REDIRECT', id, 'OPTIN'], openedBy),
      link.send(['client', 'CACHING', 'YES'], openedBy),
      link.send(['ping'], openedBy),
    ]);
    if (feed.hasEnded || link.hasEnded) return;
    this.#coverage = new Coverage();
    let unanswered = 0;
    const prove = () => this.#coverage && void this.#prove(feed, this.#coverage).then((is) => is && (unanswered = 0));
    const heartbeat = setInterval(() => {
      if (unanswered++ >= DEAD_AFTER) feed.destroy(new Error('the feed is dead'));
      else prove();
    }, this.options.lease() / 4);
    prove();
    await feed.ended;
    clearInterval(heartbeat);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** What was invalidated before both questions were sent has been delivered once both are answered. */
  async #prove(feed: NodeLink, coverage: Coverage): Promise<boolean> {
    const [sentAt, sentAtByWall] = [now(), wallNow()];
    const deadline = sentAt + DEAD_AFTER * this.options.lease();
    const { sample } = coverage;
    try {
      const asked = sample === undefined ? [] : [this.link.send(['exists', sample], deadline)];
      await Promise.all([feed.send(['ping'], deadline), ...asked]);
    } catch (error) {
      // Of a lost connection its end tells. A refusal or a redirection means that the server does not serve the key any more.
      const isTimeout = error instanceof CacheUnavailableError && error.reason === 'timeout';
      if (!isTimeout && this.#coverage === coverage) this.#fail(error);
      return false;
    }
    if (this.#coverage !== coverage) return false;
    coverage.provenAt = Math.max(coverage.provenAt, sentAt);
    coverage.provenAtByWall = sentAtByWall;
    if (sample !== undefined) this.options.onProblem(undefined);
    return true;
  }

  #deliver(keys: unknown): void {
    // null: FLUSHDB or FLUSHALL
    if (!Array.isArray(keys)) return this.renew();
    for (const key of keys as Buffer[]) this.options.onInvalid(String(key));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#uncover();
    this.#feed?.destroy(error);
  }

  #uncover(): void {
    const coverage = this.#coverage;
    if (!coverage) return;
    this.#coverage = undefined;
    coverage.provenAt = -Infinity;
    this.options.onLost(coverage);
  }

  #report(error: unknown): void {
    if (this.link.hasEnded) return;
    this.options.onProblem(describe(error instanceof Error ? (error.cause ?? error) : error).message);
  }
}

/** Of the life of a server: another one under the same address has another. */
async function runIdOf(link: NodeLink, deadline: number): Promise<string> {
  const [, id] = /^run_id:(\w+)/m.exec(String(await link.send(['info', 'server'], deadline))) ?? [];
  if (id === undefined) throw new Error('the server does not tell its run id (INFO server)');
  return id;
}
