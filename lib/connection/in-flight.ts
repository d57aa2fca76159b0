import { setTimeout as delay } from 'node:timers/promises';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { PendingCommand } from './redis-command.js';
import type { RedisCommand, RedisReply } from './redis-command.js';
import { describe, leadsToWrongServer, toCacheError } from './redis-failures.js';
import type { RedisLink, RedisNode } from './redis-link.js';

/** A server that stays a replica must stay readable: its connection is made anew at most so often. In ms. */
const RECYCLE_PAUSE = 1000;

interface Entry {
  readonly link: RedisLink;
  readonly fail: (error: unknown) => void;
}

/** The commands that were handed to a link and have been neither answered nor given up. */
export class InFlight {
  readonly #entries = new Set<Entry>();
  private recycledAt = -Infinity;

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /**
   * Writes a command and waits for its reply, until `deadline`.
   *
   * @throws CacheCommandError, CacheUnavailableError
   */
  send(link: RedisLink, command: RedisCommand, deadline: number, node?: RedisNode): Promise<RedisReply> {
    return new Promise((resolve, reject) => {
      const pending = new PendingCommand(command);
      const expire = () => {
        if (pending.isSettled || !this.#entries.delete(entry)) return;
        pending.cancel();
        link.suspect();
        const outcome = pending.written ? 'unknown' : 'not-sent';
        reject(new CacheUnavailableError('timeout', outcome, 'Redis did not answer within the timeout'));
      };
      // Replies may have arrived while our event loop was busy: let them be read before giving the verdict.
      const timer = setTimeout(() => setImmediate(expire), deadline - performance.now());
      const fail = (error: unknown) => {
        clearTimeout(timer);
        if (!this.#entries.delete(entry)) return;
        pending.cancel();
        if (leadsToWrongServer(error)) this.recycle(link, error);
        reject(toCacheError(error, pending.written));
      };
      const entry: Entry = { link, fail };
      this.#entries.add(entry);
      pending.promise.then((reply: RedisReply) => {
        clearTimeout(timer);
        this.#entries.delete(entry);
        resolve(reply);
      }, fail);
      link.send(pending, node);
    });
  }

  /**
   * Gives up what waits for a link that has ended. A client of ours has done so by itself; one that the user brought
   * would send the commands again once it has reconnected, writes too.
   */
  abandon(link: RedisLink): void {
    for (const entry of this.#entries) {
      if (entry.link === link) entry.fail(new Error('the connection was closed'));
    }
  }

  /** Resolves when nothing is in flight any more, or at the deadline. */
  async drain(deadline: number): Promise<void> {
    while (!this.isEmpty && performance.now() < deadline) await delay(5);
  }

  private recycle(link: RedisLink, error: unknown): void {
    if (performance.now() - this.recycledAt < RECYCLE_PAUSE) return;
    this.recycledAt = performance.now();
    link.recycle(describe(error));
  }
}
