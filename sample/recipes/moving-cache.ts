// The cache of @nestjs/cache-manager, before and after the move from @keyv/redis.
import KeyvRedis from '@keyv/redis';
import { CacheModule } from '@nestjs/cache-manager';
import { Module } from '@nestjs/common';
import { getCacheStoreToken, RedisCacheModule, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';

// #region before
@Module({
  imports: [
    CacheModule.registerAsync({
      isGlobal: true,
      useFactory: () => ({ stores: new KeyvRedis(process.env['REDIS_URL'] ?? 'redis://localhost:6379'), ttl: 60_000 }),
    }),
  ],
})
export class CacheBeforeModule {}
// #endregion before

// #region after
@Module({
  imports: [
    RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' }),
    CacheModule.registerAsync({
      isGlobal: true,
      imports: [RedisCacheModule.forFeature({ namespace: 'http-cache', ttl: '5m' })],
      inject: [getCacheStoreToken('http-cache')],
      useFactory: (store: RedisCacheStore) => ({ stores: new RedisCacheKeyvAdapter(store), ttl: 60_000 }),
    }),
  ],
})
export class CacheAfterModule {}
// #endregion after
