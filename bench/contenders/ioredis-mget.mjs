// What a package that batches could reach at most: the reads of a turn in one MGET, and nothing else that this one promises
// (no deadline, no check of what came, one error for all, no second look at what was not found).
import { Redis } from 'ioredis';

export const name = 'ioredis, JSON, MGET';

export async function open(url) {
  if (url.startsWith('redis-cluster:')) throw new Error('the keys of one MGET must lie in one slot');
  const redis = new Redis(url, { lazyConnect: true });
  await redis.connect();
  let batch;
  const send = ({ keys, readers }) => {
    batch = undefined;
    void redis.mget(keys).then((found) => found.forEach((text, i) => readers[i](text)));
  };
  const read = (key) =>
    new Promise((resolve) => {
      if (!batch) {
        batch = { keys: [], readers: [] };
        setImmediate(send, batch);
      }
      batch.keys.push(key);
      batch.readers.push(resolve);
    });
  return {
    get: async (id) => {
      const text = await read(`sess-b:${id}`);
      return text === null ? undefined : JSON.parse(text);
    },
    put: (id, value, ttlMs) => redis.set(`sess-b:${id}`, JSON.stringify(value), 'PX', ttlMs),
    delete: (id) => redis.del(`sess-b:${id}`),
    close: () => redis.quit(),
  };
}
