import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { KeyvEntry, KeyvStoreAdapter } from 'keyv';
import type { RedisCacheStore } from '../store/redis-cache.store.js';

/** The end of a hashed key. A key of the application that looks like one is hashed, too, so that none is mistaken. */
const HASHED = /(^|:)#[0-9a-f]{64}$/;
/** In bytes. A store takes 512, those of its scope included, for which this leaves room. */
const LONGEST_KEY = 400;

/**
 * A storage adapter for Keyv 5 and 6, and so for `@nestjs/cache-manager`. Keys that the store does not take (long ones above all)
 * are hashed. A ttl is Keyv's; without one it is that of the store.
 *
 * An outage rejects here; what Keyv makes of that: `get` gives `undefined`, writes give `false`, and the listeners of its `error`
 * event hear of it, unless `throwOnErrors` lets it through. `getMany` and `has` reject in any case.
 *
 * @example
 * ```ts
 * const cache = new Keyv({ store: new RedisCacheKeyvAdapter(store), namespace: 'prices', throwOnErrors: true });
 * ```
 */
export class RedisCacheKeyvAdapter extends EventEmitter implements KeyvStoreAdapter {
  /** Keyv iterates over adapters of dialects that it knows. */
  readonly opts = { dialect: 'redis', url: '' };
  /** Set by Keyv. */
  namespace?: string | undefined;

  readonly #store: RedisCacheStore;

  constructor(store: RedisCacheStore) {
    super();
    this.#store = store;
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    try {
      return (await this.getMany<Value>([key]))[0];
    } catch (error) {
      // Of a failure of `get`, unlike those of writes, Keyv tells its listeners only if the adapter does.
      if (this.listenerCount('error') > 0) this.emit('error', error);
      throw error;
    }
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const places = keys.map((key) => this.#place(key));
    const found = await this.#store.getMany(places);
    return found.map((stored, i) => entryOf(places[i] ?? '', stored)[1] as Value | undefined);
  }

  async set(key: string, value: unknown, ttl?: number): Promise<void> {
    await this.setMany([{ key, value, ...(ttl !== undefined && { ttl }) }]);
  }

  async setMany(entries: KeyvEntry[]): Promise<void> {
    const records = entries.map(({ key, value, ttl }) => {
      const place = this.#place(key);
      // Keyv takes a ttl in the past for one that is over.
      const options = ttl === undefined ? {} : { ttl: Math.max(1, Math.ceil(ttl)) };
      return [place, HASHED.test(place) ? [this.#prefixed(key), value] : (value as unknown), options] as const;
    });
    await this.#store.putMany(records);
  }

  async delete(key: string): Promise<boolean> {
    return this.deleteMany([key]);
  }

  /** `true`: at least one of them was there. */
  async deleteMany(keys: string[]): Promise<boolean> {
    return (await this.#store.deleteMany(keys.map((key) => this.#place(key)))) > 0;
  }

  async has(key: string): Promise<boolean> {
    return this.#store.has(this.#place(key));
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.has(key)));
  }

  async clear(): Promise<void> {
    await this.#store.clear({ prefix: this.#prefix() });
  }

  async *iterator<Value>(namespace = this.namespace): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    for await (const [place, stored] of this.#store.entries({ prefix: this.#prefix(namespace) })) {
      const [key, value] = entryOf(place, stored);
      yield [key, value as Awaited<Value>];
    }
  }

  #prefix(namespace = this.namespace): string {
    return namespace ? `${namespace}:` : '';
  }

  /** Keyv puts the namespace before keys, unless it is told not to (`useKeyPrefix`). */
  #prefixed(key: string): string {
    return key.startsWith(this.#prefix()) ? key : this.#prefix() + key;
  }

  /** The key in the store. */
  #place(key: string): string {
    const full = this.#prefixed(key);
    const isFit = full !== '' && full.isWellFormed() && Buffer.byteLength(full) <= LONGEST_KEY && !HASHED.test(full);
    // Of UTF-16, since UTF-8 has one sign for all lone surrogates.
    return isFit ? full : `${this.#prefix()}#${createHash('sha256').update(full, 'utf16le').digest('hex')}`;
  }
}

/** Key and value of a record; beside the value of a hashed key stands the key. */
function entryOf(place: string, stored: unknown): [key: string, value: unknown] {
  return HASHED.test(place) && Array.isArray(stored) ? [String(stored[0]), stored[1]] : [place, stored];
}
