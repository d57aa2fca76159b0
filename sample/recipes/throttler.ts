import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { minutes, ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { CacheUnavailableFilter, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheThrottlerStorage } from 'nestjs-redis-cache-store/throttler';

@Module({
  imports: [
    RedisCacheModule.forRoot({
      url: process.env['REDIS_URL'] ?? 'redis://localhost:6379',
      namespace: 'app',
      ttl: '1h',
    }),
    ThrottlerModule.forRootAsync({
      inject: [RedisCacheStore],
      useFactory: (store: RedisCacheStore) => ({
        throttlers: [{ limit: 10, ttl: minutes(1) }],
        storage: new RedisCacheThrottlerStorage(store.scope('throttler')),
      }),
    }),
  ],
  providers: [
    { provide: APP_GUARD, useClass: ThrottlerGuard },
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
  ],
})
export class AppModule {}
