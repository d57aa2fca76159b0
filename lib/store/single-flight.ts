import type { CacheBackend } from '../backend/cache-backend.js';

/** A load that is going on. */
interface Load {
  readonly result: Promise<Buffer | undefined>;
  current: boolean;
}

/**
 * One load at a time for each record, given its Redis key, however many callers wait for it and whichever store object they came
 * through. Nothing is remembered once it has settled.
 */
export class SingleFlight {
  private static readonly shared = new WeakMap<CacheBackend, SingleFlight>();

  /** The loads of all stores on a backend. */
  static on(backend: CacheBackend): SingleFlight {
    const flights = SingleFlight.shared.get(backend) ?? new SingleFlight();
    SingleFlight.shared.set(backend, flights);
    return flights;
  }

  private readonly running = new Map<string, Load>();

  /** Joins the load that is going on for a record, or begins one. `isCurrent` turns false when the record is forgotten. */
  run(key: string, begin: (isCurrent: () => boolean) => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    const running = this.running.get(key);
    if (running) return running.result;
    const load: Load = { current: true, result: Promise.resolve().then(() => begin(() => load.current)) };
    this.running.set(key, load);
    const settled = () => {
      if (this.running.get(key) === load) this.running.delete(key);
    };
    load.result.then(settled, settled);
    return load.result;
  }

  /**
   * Carries out a write or a deletion of these records. What is being loaded for them is out of date: it must not be stored over
   * that, and nobody may join it who comes after the write was acknowledged.
   */
  async around<T>(keys: readonly string[], write: () => Promise<T>): Promise<T> {
    for (const key of keys) this.forget(key);
    try {
      return await write();
    } finally {
      for (const key of keys) this.forget(key);
    }
  }

  /** As `around`, of all records whose Redis keys begin with a prefix. */
  async aroundAll<T>(prefix: string, write: () => Promise<T>): Promise<T> {
    const forgetAll = () =>
      [...this.running.keys()].filter((key) => key.startsWith(prefix)).forEach((key) => this.forget(key));
    forgetAll();
    try {
      return await write();
    } finally {
      forgetAll();
    }
  }

  /** Lets nobody join what is being loaded, which is stored all the same, if there is still no record. */
  leave(key: string): void {
    this.running.delete(key);
  }

  private forget(key: string): void {
    const load = this.running.get(key);
    if (!load) return;
    load.current = false;
    this.running.delete(key);
  }
}
