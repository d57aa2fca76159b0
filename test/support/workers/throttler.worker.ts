// An instance of an application that limits rates with @nestjs/throttler, in the Redis of REDIS_URL. (Jest on Node 20 cannot load
// @nestjs/throttler, which is CommonJS and requires Nest, which is not.)
import { Controller, Get, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { minutes, Throttle, ThrottlerGuard, ThrottlerModule, ThrottlerStorageService } from '@nestjs/throttler';
import { CacheUnavailableFilter, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheThrottlerStorage } from 'nestjs-redis-cache-store/throttler';

@Controller()
class GreetingController {
  @Get('window')
  window() {
    return 'hello';
  }

  @Get('blocking')
  @Throttle({ default: { blockDuration: minutes(5) } })
  blocking() {
    return 'hello';
  }
}

// #region module
@Module({
  imports: [
    RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? '', namespace: 'app', ttl: '1h' }),
    ThrottlerModule.forRootAsync({
      inject: [RedisCacheStore],
      useFactory: (store: RedisCacheStore) => ({
        throttlers: [{ limit: 10, ttl: minutes(1) }],
        storage: new RedisCacheThrottlerStorage(store.scope('throttler')),
      }),
    }),
  ],
  controllers: [GreetingController],
  providers: [
    { provide: APP_GUARD, useClass: ThrottlerGuard },
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
  ],
})
class AppModule {}
// #endregion module

const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0);

/** Where the application is. */
export function url(): Promise<string> {
  return app.getUrl();
}

/** What our storage and that of @nestjs/throttler say of six hits. */
export async function compare(key: string, limit: number, ttl: number, block: number) {
  const ours = new RedisCacheThrottlerStorage(app.get(RedisCacheStore));
  const theirs = new ThrottlerStorageService();
  const answers = [];
  for (let i = 0; i < 6; i++) {
    answers.push([
      await ours.increment(key, ttl, limit, block, 'default'),
      await theirs.increment(key, ttl, limit, block, 'default'),
    ] as const);
  }
  theirs.onApplicationShutdown();
  return answers;
}
