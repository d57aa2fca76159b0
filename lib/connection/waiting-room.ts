import { clearTimeout, setTimeout } from '../redis-cache.timers.js';

/** As many commands as may wait for a connection at once: beyond it a call fails at once, so that memory stays flat. */
const CAPACITY = 10_000;

/**
 * Calls that wait for the connection, in front of ioredis and never inside it: what ioredis queues it still sends
 * after the caller was told that the call failed (redis/ioredis#2130).
 */
export class WaitingRoom {
  readonly #waiters = new Set<(isAdmitted: boolean) => void>();

  /** Resolves with `true` when `admitAll` is called, and with `false` after `patience` ms or if the room is full. */
  wait(patience: number): Promise<boolean> {
    if (patience <= 0 || this.#waiters.size >= CAPACITY) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (isAdmitted: boolean) => {
        clearTimeout(timer);
        this.#waiters.delete(leave);
        resolve(isAdmitted);
      };
      const timer = setTimeout(() => leave(false), patience);
      this.#waiters.add(leave);
    });
  }

  /** Lets everybody go on, first come first served. What they find is for them to look at. */
  admitAll(): void {
    for (const leave of this.#waiters) leave(true);
  }
}
