import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { getCacheStoreToken } from 'nestjs-redis-cache-store';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';

/** With `RedisCacheModule.forFeature({ namespace: 'sess', ttl: '1d' })` in a module. */
export async function useSessions(app: NestFastifyApplication) {
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store: new RedisCacheSessionStore(app.get(getCacheStoreToken('sess'))),
    secret: process.env['SESSION_SECRET'] ?? '', // of at least 32 characters
    saveUninitialized: false,
    cookie: { maxAge: 60 * 60 * 1000, secure: process.env['NODE_ENV'] === 'production' },
  });
}
