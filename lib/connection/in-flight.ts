import type { PendingCommand, RedisCommand, RedisReply } from '../ioredis/command.js';
import { clearTimeout, now, setImmediate, setTimeout } from '../redis-cache.timers.js';
import { toCacheError } from './failures.js';

/** The shortest time between two looks for calls whose time is over, in ms. */
const LOOK_PAUSE = 5;

/** A command and the call that waits for its reply. */
export class Exchange {
  /** Its index among those in flight; -1: it is none of them. */
  at = -1;
  command: PendingCommand | undefined;

  constructor(
    readonly words: RedisCommand,
    readonly deadline: number,
    readonly resolve: (reply: RedisReply) => void,
    readonly reject: (error: unknown) => void,
  ) {}

  /** Redis gave no reply, and will give none. */
  fail(error: unknown): void {
    this.reject(toCacheError(error, this.command?.written ?? false, this.words));
  }
}

/**
 * The calls that were handed to a link and have been neither answered nor given up. One timer looks after all of them: one
 * for each would be a good part of what a command costs.
 */
export class InFlight {
  /** In no order. Not a Set: each table that V8 outgrows leads to the next one, with all that was ever in them, once it is old. */
  readonly #entries: Exchange[] = [];
  #alarm: NodeJS.Timeout | undefined;
  #alarmAt = Infinity;

  /** `onExpired` is told of each call whose deadline has passed; by then it is not in flight any more. */
  constructor(private readonly onExpired: (entry: Exchange) => void) {}

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  add(entry: Exchange): void {
    entry.at = this.#entries.push(entry) - 1;
    if (entry.deadline < this.#alarmAt) this.wakeAt(entry.deadline);
  }

  /** Whether it was still in flight. */
  remove(entry: Exchange): boolean {
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

  /** Empties the table. */
  removeAll(): readonly Exchange[] {
    clearTimeout(this.#alarm);
    this.#alarmAt = Infinity;
    const entries = this.#entries.splice(0);
    for (const entry of entries) entry.at = -1;
    return entries;
  }

  private wakeAt(deadline: number): void {
    clearTimeout(this.#alarm);
    this.#alarmAt = deadline;
    // What is waited for has a socket, which keeps the process up for as long as is needed.
    this.#alarm = setTimeout(() => {
      const moment = now();
      // Replies may have arrived while our event loop was busy: let them be read before giving the verdict.
      setImmediate(() => this.expire(moment));
    }, deadline - now()).unref();
  }

  /** Gives up the calls whose deadline was not after `moment`. */
  private expire(moment: number): void {
    this.#alarmAt = Infinity;
    let next = Infinity;
    for (const entry of this.#entries.slice()) {
      if (entry.deadline > moment) next = Math.min(next, entry.deadline);
      else if (this.remove(entry)) this.onExpired(entry);
    }
    if (next < this.#alarmAt) this.wakeAt(Math.max(next, now() + LOOK_PAUSE));
  }
}
