import type { PendingCommand, RedisCommand, RedisReply } from '../ioredis/command.js';
import { now, setImmediate, setTimeout, wallNow } from '../redis-cache.timers.js';
import { toCacheError } from './failures.js';

/** How often calls are looked for whose time is over, while there are any. In ms. */
const LOOK_EVERY = 5;

/** A command and the call that waits for its reply. */
export class Exchange {
  readonly reply: Promise<RedisReply>;
  resolve!: (reply: RedisReply) => void;
  reject!: (error: unknown) => void;
  /** Its index among those in flight; -1: it is none of them. */
  at = -1;
  /** Once it is being sent, and since when. */
  command: PendingCommand | undefined;
  sentAt = Infinity;

  constructor(
    readonly words: RedisCommand,
    readonly deadline: number,
    readonly replySize?: () => number,
  ) {
    this.reply = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Redis gave no reply, and will give none. */
  fail(error: unknown): void {
    this.reject(toCacheError(error, this.command?.written ?? false, this.words));
  }
}

/**
 * The calls that were handed to a link and have been neither answered nor given up, written or not. One timer looks after all of
 * them: one for each would be a good part of what a command costs.
 */
export class InFlight {
  /** In no order. Not a Set, with which a `put` takes 1.2 times as much CPU (bench/micro.mjs), and whose outgrown tables keep what was in them. */
  readonly #entries: Exchange[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When this process last ran while calls were in flight, by the wall clock, which goes on while the machine sleeps. */
  #ranAt = 0;

  /**
   * `onExpired` is told of each call whose deadline has passed; by then it is not in flight any more. `onRun` is told, with each look
   * and `ran`, how long ago the one before was: much longer than {@link LOOK_EVERY} if the process was suspended meanwhile.
   */
  constructor(
    private readonly onExpired: (entry: Exchange) => void,
    private readonly onRun: (before: number) => void,
  ) {}

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  add(entry: Exchange): void {
    entry.at = this.#entries.push(entry) - 1;
    if (this.#timer !== undefined) return;
    this.#ranAt = wallNow();
    this.#timer = this.#lookLater();
  }

  /** The process runs. */
  ran(): void {
    const before = wallNow() - this.#ranAt;
    this.#ranAt += before;
    if (this.#timer !== undefined) this.onRun(before);
  }

  has(entry: Exchange): boolean {
    return entry.at >= 0;
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
    const entries = this.#entries.splice(0);
    for (const entry of entries) entry.at = -1;
    return entries;
  }

  #lookLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.ran();
      const moment = now();
      // Replies may have arrived while our event loop was busy: let them be read before giving the verdict.
      setImmediate(() => {
        const expired = this.#entries.filter(({ deadline }) => deadline <= moment);
        for (const entry of expired) if (this.remove(entry)) this.onExpired(entry);
        this.#timer = this.isEmpty ? undefined : this.#lookLater();
      });
      // What is waited for has a socket, which keeps the process up for as long as is needed.
    }, LOOK_EVERY).unref();
  }
}
