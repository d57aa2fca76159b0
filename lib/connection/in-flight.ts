import { setTimeout as delay } from 'node:timers/promises';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { PendingCommand } from './redis-command.js';
import type { RedisCommand, RedisReply } from './redis-command.js';
import { leadsToWrongServer, toCacheError } from './redis-failures.js';
import type { RedisLink, RedisNode } from './redis-link.js';

/** A server that stays a replica must stay readable: its connection is made anew at most so often. In ms. */
const RECYCLE_PAUSE = 1000;

/** The commands that were handed to a link and have been neither answered nor given up. */
export class InFlight {
  private count = 0;
  private recycledAt = -Infinity;

  get isEmpty(): boolean {
    return this.count === 0;
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
        if (pending.isSettled) return;
        pending.cancel();
        this.count--;
        link.suspect();
        const outcome = pending.written ? 'unknown' : 'not-sent';
        reject(new CacheUnavailableError('timeout', outcome, 'Redis did not answer within the timeout'));
      };
      // Replies may have arrived while our event loop was busy: let them be read before giving the verdict.
      const timer = setTimeout(() => setImmediate(expire), deadline - performance.now());
      const settle = () => {
        clearTimeout(timer);
        if (!pending.isCancelled) this.count--;
      };
      this.count++;
      pending.promise.then(
        (reply: RedisReply) => {
          settle();
          resolve(reply);
        },
        (error: unknown) => {
          settle();
          if (leadsToWrongServer(error)) this.recycle(link);
          reject(toCacheError(error, pending.written));
        },
      );
      link.send(pending, node);
    });
  }

  /** Resolves when nothing is in flight any more, or at the deadline. */
  async drain(deadline: number): Promise<void> {
    while (!this.isEmpty && performance.now() < deadline) await delay(5);
  }

  private recycle(link: RedisLink): void {
    if (performance.now() - this.recycledAt < RECYCLE_PAUSE) return;
    this.recycledAt = performance.now();
    link.recycle();
  }
}
