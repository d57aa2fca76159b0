import { AsyncLocalStorage } from 'node:async_hooks';
import type { CacheBackend } from '../backend/cache-backend.js';
import { CacheArgumentError } from '../redis-cache.errors.js';

/** A load that is going on. */
interface Load {
  readonly result: Promise<Buffer | undefined>;
  /** Those that were asked for inside of it. */
  readonly inner: Set<Load>;
  current: boolean;
}

/** How a load is carried out. */
interface Flight {
  /** Turns false when the record is forgotten. */
  readonly isCurrent: () => boolean;
  /** Runs the callback that loads. */
  readonly inside: <T>(callback: () => T) => T;
}

/** The load whose callback runs. */
const outer = new AsyncLocalStorage<Load>();

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

  /**
   * Joins the load that is going on for a record, or begins one.
   *
   * @throws CacheArgumentError if that waits for the load inside of which it is asked for, so that neither would end
   */
  run(key: string, begin: (flight: Flight) => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    const load = this.running.get(key) ?? this.begin(key, begin);
    const asking = outer.getStore();
    if (asking && waitsFor(load, asking)) {
      throw new CacheArgumentError(
        'key: is being loaded by a load that waits for this one; load it without getOrPut here',
      );
    }
    asking?.inner.add(load);
    return load.result;
  }

  private begin(key: string, begin: (flight: Flight) => Promise<Buffer | undefined>): Load {
    const flight: Flight = { isCurrent: () => load.current, inside: (callback) => outer.run(load, callback) };
    const load: Load = { current: true, inner: new Set(), result: Promise.resolve().then(() => begin(flight)) };
    this.running.set(key, load);
    const settled = () => {
      load.inner.clear();
      if (this.running.get(key) === load) this.running.delete(key);
    };
    load.result.then(settled, settled);
    return load;
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

function waitsFor(load: Load, other: Load): boolean {
  const all = new Set([load]);
  for (const { inner } of all) for (const each of inner) all.add(each);
  return all.has(other);
}
