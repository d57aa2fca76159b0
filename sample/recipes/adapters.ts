// How the adapters are wired into a Nest application.
// #region module
import { CacheModule } from '@nestjs/cache-manager';
import { Module } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { betterAuth } from 'better-auth';
import { toNodeHandler } from 'better-auth/node';
import session from 'express-session';
import {
  CacheUnavailableFilter,
  getCacheStoreToken,
  RedisCacheModule,
  type RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { redisCacheSecondaryStorage } from 'nestjs-redis-cache-store/better-auth';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';

@Module({
  imports: [
    RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379', ttl: '1h' }),
    // One namespace for each adapter, so that none clears what belongs to another.
    RedisCacheModule.forFeature({ namespace: 'sess', ttl: '1d' }, { namespace: 'auth', ttl: '7d' }),
    CacheModule.registerAsync({
      isGlobal: true,
      imports: [RedisCacheModule.forFeature({ namespace: 'http-cache', ttl: '5m' })],
      inject: [getCacheStoreToken('http-cache')],
      useFactory: (store: RedisCacheStore) => ({ stores: new RedisCacheKeyvAdapter(store), ttl: 60_000 }),
    }),
  ],
  providers: [
    // An outage is answered with 503 and Retry-After, that of a session, too.
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
    {
      provide: 'AUTH',
      inject: [getCacheStoreToken('auth')],
      useFactory: (store: RedisCacheStore) =>
        betterAuth({
          secret: process.env['BETTER_AUTH_SECRET'] ?? '',
          baseURL: process.env['BASE_URL'] ?? 'http://localhost:3000',
          emailAndPassword: { enabled: true },
          secondaryStorage: redisCacheSecondaryStorage(store),
          rateLimit: { storage: 'secondary-storage' },
        }),
    },
  ],
})
export class AppModule {}

export async function bootstrap() {
  const app = await NestFactory.create(AppModule);
  app.use(
    session({
      store: new RedisCacheSessionStore(app.get(getCacheStoreToken('sess'))),
      secret: process.env['SESSION_SECRET'] ?? '',
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 24 * 60 * 60 * 1000, httpOnly: true, sameSite: 'lax' },
    }),
  );
  app.use('/api/auth', toNodeHandler(app.get('AUTH')));
  return app;
}
// #endregion module
