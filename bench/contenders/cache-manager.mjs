import KeyvRedis from '@keyv/redis';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';

export const name = 'cache-manager 7, @keyv/redis';

export async function open(url) {
  const store = new Keyv({ store: new KeyvRedis(url), namespace: 'sess-m', useKeyPrefix: false });
  const cache = createCache({ stores: [store] });
  return {
    get: (id) => cache.get(id),
    put: (id, value, ttlMs) => cache.set(id, value, ttlMs),
    delete: (id) => cache.del(id),
    close: () => cache.disconnect(),
  };
}
