import type { CacheBackend } from '../backend/cache-backend.js';

import type { StoreSettings } from './store-settings.js';
import type { Keyspace } from './keyspace.js';
import { NearCache } from './near-cache.js';

/** The near cache of a store, if it is to have one. */
export function openNearCache(
  { nearCache }: StoreSettings,
  backend: CacheBackend,
  keyspace: Keyspace,
): NearCache | undefined {
  if (!nearCache) return undefined;
  const { lease, maxEntries } = nearCache;
  const feed = backend.watch(keyspace.prefix, lease, (recordKey) => {
    if (recordKey === undefined) near?.forgetAll();
    else near?.forget(keyspace.idOf(recordKey));
  });
  const near = feed && new NearCache(feed, lease, maxEntries);
  return near;
}

/** A backend whose writes are visible at once to the near cache of the same store. Everything else is the backend's own. */
export function forgettingWrites(backend: CacheBackend, near: NearCache, keyspace: Keyspace): CacheBackend {
  /** A read that began before the answer may have been carried out before the write, so it is void then, too. */
  const changing = async <T>(recordKeys: readonly string[], write: () => Promise<T>): Promise<T> => {
    const forget = () => {
      for (const recordKey of recordKeys) near.forget(keyspace.idOf(recordKey));
    };
    forget();
    try {
      return await write();
    } finally {
      forget();
    }
  };
  const writes: Pick<CacheBackend, 'set' | 'setIfAbsent' | 'compareAndSet' | 'take' | 'delete'> = {
    set: (key, ...rest) => changing([key], () => backend.set(key, ...rest)),
    setIfAbsent: (key, ...rest) => changing([key], () => backend.setIfAbsent(key, ...rest)),
    compareAndSet: (key, ...rest) => changing([key], () => backend.compareAndSet(key, ...rest)),
    take: (key, deadline) => changing([key], () => backend.take(key, deadline)),
    delete: (keys, deadline) => changing(keys, () => backend.delete(keys, deadline)),
  };
  return Object.assign(Object.create(backend) as CacheBackend, writes);
}
