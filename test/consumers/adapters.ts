// An application with every adapter. The runner copies it into the consumers that have express-session.
import 'reflect-metadata';
import { deepEqual, equal, ok } from 'node:assert/strict';
import { Controller, Get, Inject, Module, Req } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import session = require('express-session');
import { Keyv } from 'keyv';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { redisCacheSecondaryStorage } from 'nestjs-redis-cache-store/better-auth';
import { RedisCacheSessionStore } from 'nestjs-redis-cache-store/express-session';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';
import { RedisCacheThrottlerStorage } from 'nestjs-redis-cache-store/throttler';

const LIMIT = 3;

@Controller()
class VisitController {
  constructor(@Inject(RedisCacheStore) private readonly store: RedisCacheStore) {}

  @Get('visit')
  visit(@Req() request: { session: { visits?: number } }) {
    request.session.visits = (request.session.visits ?? 0) + 1;
    return { visits: request.session.visits, namespace: this.store.namespace };
  }
}

/** Boots the application, and throws if an adapter is not as it has to be. */
export async function probeAdapters(url: string | undefined): Promise<void> {
  ok(url, 'the runner gives REDIS_URL');
  const namespace = `adapters-${Math.random().toString(36).slice(2)}`;

  @Module({
    imports: [
      RedisCacheModule.forRoot({ url, namespace, ttl: '1m' }),
      ThrottlerModule.forRootAsync({
        inject: [RedisCacheStore],
        useFactory: (store: RedisCacheStore) => ({
          throttlers: [{ limit: LIMIT, ttl: 60_000 }],
          storage: new RedisCacheThrottlerStorage(store.scope('throttler')),
        }),
      }),
    ],
    controllers: [VisitController],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  })
  class AdaptersModule {}

  const app = await NestFactory.create(AdaptersModule, { logger: ['error', 'warn'] });
  const store = app.get<RedisCacheStore>(RedisCacheStore);
  try {
    const sessions = new RedisCacheSessionStore(store.scope('session'));
    app.use(session({ store: sessions, secret: 'a secret', resave: false, saveUninitialized: false }));
    await app.listen(0, '127.0.0.1');
    let cookie = '';
    for (let visits = 1; visits <= LIMIT; visits++) {
      const answer = await fetch(`${await app.getUrl()}/visit`, { headers: { cookie } });
      cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? cookie;
      deepEqual(JSON.parse(await answer.text()), { visits, namespace });
    }
    equal(await sessions.length(), 1);
    equal((await fetch(`${await app.getUrl()}/visit`)).status, 429);

    const cache = new Keyv({ store: new RedisCacheKeyvAdapter(store.scope('cache')), namespace: 'prices' });
    await cache.set('tea', { cents: 5 });
    equal(JSON.stringify(await cache.get('tea')), '{"cents":5}');

    const storage = redisCacheSecondaryStorage(store.scope('auth'));
    await storage.set('token', 'text', 60);
    deepEqual([await storage.getAndDelete('token'), await storage.getAndDelete('token')], ['text', null]);
    deepEqual([await storage.increment('hits', 60), await storage.increment('hits', 60)], [1, 2]);
  } finally {
    await store.clear();
    await app.close();
  }
}
