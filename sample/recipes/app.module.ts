import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_FILTER } from '@nestjs/core';
import { CacheUnavailableFilter, RedisCacheModule } from 'nestjs-redis-cache-store';
import { ResetTokens } from './one-time-token.js';
import { SessionGuard } from './session.guard.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    // The connection, and the default store: inject RedisCacheStore.
    RedisCacheModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        url: config.getOrThrow<string>('REDIS_URL'),
        namespace: 'session',
        ttl: '30m',
      }),
    }),
    // A further store on the same connection: @InjectCacheStore('reset-token').
    RedisCacheModule.forFeature({ namespace: 'reset-token', ttl: '2h' }),
  ],
  providers: [
    SessionGuard,
    ResetTokens,
    // An outage is answered with 503 and Retry-After, never with 401.
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
  ],
})
export class AppModule {}
