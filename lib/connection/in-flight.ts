import type { PendingCommand } from '../ioredis/command.js';
import { now, setImmediate, setTimeout, wallNow } from '../redis-cache.timers.js';

/** How often calls are looked for whose time is over, while there are any. In ms. */
const LOOK_EVERY = 5;

/**
 * The calls that were handed to a link and have been neither answered nor given up, written or not. One timer looks after all of
 * them: one for each would be a good part of what a command costs.
 */
export class InFlight {
  /** In no order. Not a Set, with which a `put` with a tag takes 1.2 times as much CPU (bench/micro.mjs), and whose outgrown tables keep what was in them. */
  readonly #commands: PendingCommand[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When this process last ran while calls were in flight, by the wall clock, which goes on while the machine sleeps. */
  #ranAt = 0;

  /**
   * `onExpired` is told of each call whose deadline has passed; by then it is not in flight any more. `onRun` is told, with each look
   * and `ran`, how long ago the one before was: much longer than {@link LOOK_EVERY} if the process was suspended meanwhile.
   */
  constructor(
    private readonly onExpired: (command: PendingCommand) => void,
    private readonly onRun: (before: number) => void,
  ) {}

  get isEmpty(): boolean {
    return this.#commands.length === 0;
  }

  add(command: PendingCommand): void {
    command.at = this.#commands.push(command) - 1;
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

  has(command: PendingCommand): boolean {
    return command.at >= 0;
  }

  /** Whether it was still in flight. */
  remove(command: PendingCommand): boolean {
    const { at } = command;
    if (at < 0) return false;
    command.at = -1;
    const last = this.#commands.pop();
    if (last && last !== command) {
      this.#commands[at] = last;
      last.at = at;
    }
    return true;
  }

  /** Empties the table. */
  removeAll(): readonly PendingCommand[] {
    const commands = this.#commands.splice(0);
    for (const command of commands) command.at = -1;
    return commands;
  }

  #lookLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.ran();
      const moment = now();
      // Replies may have arrived while our event loop was busy: let them be read before giving the verdict.
      setImmediate(() => {
        const expired = this.#commands.filter(({ deadline }) => deadline <= moment);
        for (const command of expired) if (this.remove(command)) this.onExpired(command);
        this.#timer = this.isEmpty ? undefined : this.#lookLater();
      });
      // What is waited for has a socket, which keeps the process up for as long as is needed.
    }, LOOK_EVERY).unref();
  }
}
