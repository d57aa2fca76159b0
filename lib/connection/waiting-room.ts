import { clearTimeout, setTimeout } from '../redis-cache.timers.js';

/** As many calls as may wait for a connection at once: beyond it a call fails at once, so that memory stays flat. */
const CAPACITY = 10_000;

interface Waiter {
  readonly admit: () => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Calls that wait for the connection, in front of ioredis and never inside it: what ioredis queues it still sends
 * after the caller was told that the call failed (redis/ioredis#2130).
 */
export class WaitingRoom {
  readonly #waiters = new Set<Waiter>();

  /** Resolves with `true` when `admitAll` is called, and with `false` after `patience` ms or if the room is full. */
  wait(patience: number): Promise<boolean> {
    if (patience <= 0 || this.#waiters.size >= CAPACITY) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (admitted: boolean) => {
        clearTimeout(waiter.timer);
        this.#waiters.delete(waiter);
        resolve(admitted);
      };
      const waiter: Waiter = { admit: () => leave(true), timer: setTimeout(() => leave(false), patience) };
      this.#waiters.add(waiter);
    });
  }

  /** Lets everybody go on, first come first served. What they find is for them to look at. */
  admitAll(): void {
    for (const waiter of this.#waiters) waiter.admit();
  }
}
