import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { CacheUnavailableError } from '../redis-cache.errors.js';
import { PendingCommand } from './redis-command.js';
import type { Call, RedisCommand, RedisReply } from './redis-command.js';
import { describe, leadsToWrongServer, toCacheError } from './redis-failures.js';
import type { RedisLink, RedisNode } from './redis-link.js';

/** A server that stays a replica must stay readable: its connection is made anew at most so often. In ms. */
const RECYCLE_PAUSE = 1000;
/** The shortest time between two looks for commands whose time is over, in ms. */
const LOOK_PAUSE = 5;

class Entry {
  /** Its index among the entries; -1: no longer there. */
  at = -1;

  constructor(
    readonly link: RedisLink,
    readonly pending: PendingCommand,
    readonly deadline: number,
    readonly reject: (error: unknown) => void,
  ) {}
}

/**
 * The commands that were handed to a link and have been neither answered nor given up. One timer looks after all of them: one
 * for each would be a good part of what a command costs.
 */
export class InFlight {
  /** In no order. Not a Set: each table that V8 outgrows leads to the next one, with all that was ever in them, once it is old. */
  readonly #entries: Entry[] = [];
  private recycledAt = -Infinity;
  #alarm: NodeJS.Timeout | undefined;
  #alarmAt = Infinity;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /**
   * Writes a command and waits for its reply, until the call's deadline.
   *
   * @throws CacheCommandError, CacheUnavailableError
   */
  send(link: RedisLink, command: RedisCommand, call: Call, node?: RedisNode): Promise<RedisReply> {
    return new Promise((resolve, reject) => {
      const entry = new Entry(link, new PendingCommand(command), call.deadline, reject);
      // First of all: what else there is to do is done while Redis is at work.
      link.send(entry.pending, node, call.isBatch);
      entry.at = this.#entries.push(entry) - 1;
      this.wakeAt(call.deadline);
      entry.pending.promise.then(
        (reply: RedisReply) => {
          if (this.remove(entry)) resolve(reply);
        },
        (error: unknown) => this.fail(entry, error),
      );
    });
  }

  /**
   * Gives up what waits for a link that has ended. A client of ours has done so by itself; one that the user brought
   * would send the commands again once it has reconnected, writes too.
   */
  abandon(link: RedisLink): void {
    for (const entry of this.#entries.slice()) {
      if (entry.link === link) this.fail(entry, new Error('the connection was closed'));
    }
    if (this.isEmpty) this.rest();
  }

  /** Resolves when nothing is in flight any more, or at the deadline. */
  async drain(deadline: number): Promise<void> {
    while (!this.isEmpty && performance.now() < deadline) await delay(5);
  }

  private fail(entry: Entry, error: unknown): void {
    const { link, pending, reject } = entry;
    if (!this.remove(entry)) return;
    pending.cancel();
    if (leadsToWrongServer(error)) this.recycle(link, error);
    reject(toCacheError(error, pending.written));
  }

  private remove(entry: Entry): boolean {
    const { at } = entry;
    if (at < 0) return false;
    entry.at = -1;
    const last = this.#entries.pop();
    if (last && last !== entry) {
      this.#entries[at] = last;
      last.at = at;
    }
    return true;
  }

  private rest(): void {
    clearTimeout(this.#alarm);
    this.#alarmAt = Infinity;
  }

  private wakeAt(deadline: number): void {
    if (deadline >= this.#alarmAt) return;
    this.rest();
    this.#alarmAt = deadline;
    // What is waited for has a socket, which keeps the process up for as long as is needed.
    this.#alarm = setTimeout(() => {
      const now = performance.now();
      // Replies may have arrived while our event loop was busy: let them be read before giving the verdict.
      setImmediate(() => this.expire(now));
    }, deadline - performance.now()).unref();
  }

  /** Gives up the commands whose deadline was not after `moment`. */
  private expire(moment: number): void {
    this.#alarmAt = Infinity;
    let next = Infinity;
    for (const entry of this.#entries.slice()) {
      if (entry.deadline > moment) {
        next = Math.min(next, entry.deadline);
        continue;
      }
      const { link, pending, reject } = entry;
      this.remove(entry);
      pending.cancel();
      link.suspect();
      const outcome = pending.written ? 'unknown' : 'not-sent';
      reject(new CacheUnavailableError('timeout', outcome, 'Redis did not answer within the timeout'));
    }
    if (next < Infinity) this.wakeAt(Math.max(next, performance.now() + LOOK_PAUSE));
  }

  private recycle(link: RedisLink, error: unknown): void {
    if (performance.now() - this.recycledAt < RECYCLE_PAUSE) return;
    this.recycledAt = performance.now();
    link.recycle(describe(error));
  }
}
