import { RedisStore } from 'connect-redis';
import { createClient } from 'redis';

export const name = 'connect-redis 9';

export async function open(url) {
  const client = createClient({ url });
  client.on('error', (error) => console.error(String(error)));
  await client.connect();
  const store = new RedisStore({ client, prefix: 'sess-c:', ttl: 1800 });
  // Promises around its callbacks, as express-session awaits them.
  const call = (method, ...args) =>
    new Promise((resolve, reject) => {
      store[method](...args, (error, value) => (error ? reject(error) : resolve(value ?? undefined)));
    });
  return {
    get: (id) => call('get', id),
    put: (id, value) => call('set', id, value),
    delete: (id) => call('destroy', id),
    close: () => client.close(),
  };
}
