import KeyvRedis from '@keyv/redis';
import { Cacheable } from 'cacheable';
import { Keyv } from 'keyv';

export const name = 'cacheable (memory + Redis)';

export async function open(url) {
  const secondary = new Keyv({ store: new KeyvRedis(url), namespace: 'sess-b', useKeyPrefix: false });
  const cache = new Cacheable({ secondary });
  return {
    get: (id) => cache.get(id),
    put: (id, value, ttlMs) => cache.set(id, value, ttlMs),
    delete: (id) => cache.delete(id),
    close: () => cache.disconnect(),
  };
}
