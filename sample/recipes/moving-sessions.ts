// Sessions of express-session, before and after the move from connect-redis.
import type { INestApplication } from '@nestjs/common';
import { RedisStore } from 'connect-redis';
import session from 'express-session';
import { getCacheStoreToken, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { createClient } from 'redis';

const secret = process.env['SESSION_SECRET'] ?? '';

// #region before
export async function useSessionsBefore(app: INestApplication) {
  const client = createClient({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' });
  await client.connect();
  const store = new RedisStore({ client, prefix: 'sess:', ttl: 24 * 60 * 60 });
  app.use(session({ store, secret, resave: false, saveUninitialized: false }));
  return client;
}
// #endregion before

// #region after
/** With `RedisCacheModule.forFeature({ namespace: 'sess', ttl: '1d' })` in a module. */
export function useSessionsAfter(app: INestApplication) {
  const records: RedisCacheStore = app.get(getCacheStoreToken('sess'));
  const store = new RedisCacheSessionStore(records, { legacy: 'connect-redis' });
  app.use(session({ store, secret, resave: false, saveUninitialized: false }));
}
// #endregion after
