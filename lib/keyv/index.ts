import { EventEmitter } from 'node:events';
import { boundedTtl } from '../redis-cache.duration.js';
import type { RedisCacheStore } from '../store/redis-cache.store.js';
import { entryAt, placeOf, prefixOf, storedAt } from './places.js';

/**
 * A storage adapter for Keyv 5 and 6, and so for `@nestjs/cache-manager`. Keys that the store does not take (long ones above all)
 * are hashed. A ttl is Keyv's, in ms; without one it is that of the store. A namespace of Keyv is a prefix of keys here.
 *
 * An outage rejects here. Keyv makes its own answers of that (`undefined`, `false`) and tells the listeners of its `error` event.
 * In Keyv 5 `throwOnErrors` lets it through, and `getMany` and `has` reject in any case.
 *
 * @example
 * ```ts
 * const cache = new Keyv({ store: new RedisCacheKeyvAdapter(store), namespace: 'prices', throwOnErrors: true });
 * ```
 */
export class RedisCacheKeyvAdapter extends EventEmitter {
  /** Keyv 5 iterates over adapters of dialects that it knows. */
  readonly opts = { dialect: 'redis', url: '' };
  /** Set by Keyv. Keyv 6 leaves namespaces to adapters that have this property. */
  namespace: string | undefined = undefined;
  readonly #store: RedisCacheStore;

  constructor(store: RedisCacheStore) {
    super();
    this.#store = store;
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    try {
      return (await this.getMany<Value>([key]))[0];
    } catch (error) {
      // Of a failure of `get`, unlike those of writes, Keyv 5 tells its listeners only if the adapter does.
      if (this.listenerCount('error') > 0) this.emit('error', error);
      throw error;
    }
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const places = keys.map(this.#place);
    const found = await this.#store.getMany(places);
    return places.map((place, i) => entryAt(place, found[i], '')[1] as Value | undefined);
  }

  async set(key: string, value: unknown, ttl?: number): Promise<void> {
    await this.setMany([{ key, value, ttl }]);
  }

  async setMany(entries: { key: string; value: unknown; ttl?: number | undefined }[]): Promise<void> {
    const records = entries.map(({ key, value, ttl }) => {
      const place = this.#place(key);
      const options = ttl === undefined ? {} : { ttl: boundedTtl(ttl) };
      return [place, storedAt(place, key, value), options] as const;
    });
    await this.#store.putMany(records);
  }

  async delete(key: string): Promise<boolean> {
    return this.deleteMany([key]);
  }

  /** `true`: at least one of them was there. */
  async deleteMany(keys: string[]): Promise<boolean> {
    return (await this.#store.deleteMany(keys.map(this.#place))) > 0;
  }

  async has(key: string): Promise<boolean> {
    return (await this.hasMany([key]))[0] === true;
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.#store.has(this.#place(key))));
  }

  async clear(): Promise<void> {
    await this.#store.clear({ prefix: prefixOf(this.namespace) });
  }

  async *iterator<Value>(namespace = this.namespace): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    const prefix = prefixOf(namespace);
    for await (const [place, stored] of this.#store.entries({ prefix })) {
      const [key, value] = entryAt(place, stored, prefix);
      yield [key, value as Awaited<Value>];
    }
  }

  /** Keyv 5 prefixes keys as well, unless `useKeyPrefix` is off. An adapter cannot tell such keys from others, so they have two prefixes. */
  readonly #place = (key: string): string => placeOf(prefixOf(this.namespace), key);
}
