import { createClient } from 'redis';

export const name = 'node-redis, JSON';

export const open = (url) => openClient({ url }, 'sess-r:');

/** Shared with the variant that has a client-side cache. */
export async function openClient(options, prefix) {
  const client = createClient(options);
  client.on('error', (error) => console.error(String(error)));
  await client.connect();
  return {
    get: async (id) => {
      const text = await client.get(prefix + id);
      return text === null ? undefined : JSON.parse(text);
    },
    put: (id, value, ttlMs) =>
      client.set(prefix + id, JSON.stringify(value), { expiration: { type: 'PX', value: ttlMs } }),
    delete: (id) => client.del(prefix + id),
    close: () => client.close(),
  };
}
