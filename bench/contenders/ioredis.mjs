// What an application writes that uses no package: JSON under a key with a ttl. The yardstick of the ratios.
import { Cluster, Redis } from 'ioredis';

export const name = 'ioredis, JSON';

export async function open(url) {
  const isCluster = url.startsWith('redis-cluster:');
  const redis = isCluster
    ? new Cluster([url.replace('redis-cluster:', 'redis:')], { lazyConnect: true })
    : new Redis(url, { lazyConnect: true });
  await redis.connect();
  return {
    get: async (id) => {
      const text = await redis.get(`sess-i:${id}`);
      return text === null ? undefined : JSON.parse(text);
    },
    put: (id, value, ttlMs) => redis.set(`sess-i:${id}`, JSON.stringify(value), 'PX', ttlMs),
    delete: (id) => redis.del(`sess-i:${id}`),
    close: () => redis.quit(),
  };
}
