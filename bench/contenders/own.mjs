import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, RedisCacheStore } from '../../dist/index.js';

export const name = 'this package';

export const open = (url) => openStore(url, { namespace: 'sess-t' });

export async function openStore(url, options) {
  // abortOnError: what cannot run here is skipped by name, it does not end the process.
  const app = await NestFactory.createApplicationContext(RedisCacheModule.forRoot({ url, ...options }), {
    logger: ['error'],
    abortOnError: false,
  });
  const store = app.get(RedisCacheStore);
  return {
    store,
    get: (id) => store.get(id),
    put: (id, value, ttl) => store.put(id, value, { ttl }),
    delete: (id) => store.delete(id),
    close: () => app.close(),
  };
}
