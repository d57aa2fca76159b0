import { AsyncLocalStorage } from 'node:async_hooks';
import { CacheArgumentError, CacheUnavailableError } from '../redis-cache.errors.js';
import { clearTimeout, now, setTimeout } from '../redis-cache.timers.js';

/** An update that is going on, and the one whose callback called it. */
interface Turn {
  readonly queue: UpdateQueue;
  readonly key: string;
  readonly outer: Turn | undefined;
  isOver: boolean;
}

/** One for the process: Node 20 passes each one that was ever run on to every promise, also after its backend is closed. */
const turns = new AsyncLocalStorage<Turn>();

/**
 * Updates of one key take turns within a process: each would otherwise have to begin again whenever another one was faster,
 * and 400 of them would cost 54,000 compare-and-sets instead of 400. Other processes are still met by compare-and-set.
 */
export class UpdateQueue {
  private static readonly queues = new WeakMap<object, UpdateQueue>();

  /** The queue of a backend, whose keys stores share. */
  static of(backend: object): UpdateQueue {
    const queue = UpdateQueue.queues.get(backend) ?? new UpdateQueue();
    UpdateQueue.queues.set(backend, queue);
    return queue;
  }

  /** The updates that wait for each key, the first one in front; no entry: nobody has the turn. */
  private readonly waiting = new Map<string, Set<() => void>>();

  /**
   * Runs an update once those before it are over.
   *
   * @throws CacheArgumentError if it would wait for itself; CacheUnavailableError if its turn does not come by the deadline
   */
  async run<T>(key: string, deadline: number, update: () => Promise<T>): Promise<T> {
    const outer = turns.getStore();
    this.assertNotInside(outer, key);
    await this.turn(key, deadline);
    const turn = { queue: this, key, outer, isOver: false };
    try {
      return await turns.run(turn, update);
    } finally {
      turn.isOver = true;
      this.passOn(key);
    }
  }

  private turn(key: string, deadline: number): Promise<void> | undefined {
    const others = this.waiting.get(key);
    if (!others) return void this.waiting.set(key, new Set());
    return new Promise((resolve, reject) => {
      const begin = () => {
        clearTimeout(timer);
        resolve();
      };
      const giveUp = () => {
        others.delete(begin);
        const message = 'other updates of the key took until the time was over';
        reject(new CacheUnavailableError('timeout', 'not-sent', message));
      };
      const timer = setTimeout(giveUp, deadline - now());
      others.add(begin);
    });
  }

  private passOn(key: string): void {
    const others = this.waiting.get(key);
    const [next] = others ?? [];
    if (!next) return void this.waiting.delete(key);
    others?.delete(next);
    next();
  }

  private assertNotInside(turn: Turn | undefined, key: string): void {
    for (let each = turn; each; each = each.outer) {
      if (each.queue !== this || each.key !== key || each.isOver) continue;
      throw new CacheArgumentError(
        'key: is being updated by the update that calls this one, which would wait for itself; return the new value there instead',
      );
    }
  }
}
