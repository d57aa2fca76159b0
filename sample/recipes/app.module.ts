import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_FILTER } from '@nestjs/core';
import { CacheUnavailableFilter, RedisCacheModule } from 'nestjs-redis-cache-store';
import { JwtDenyList } from './jwt-deny-list.js';
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
    // Further stores on the same connection: @InjectCacheStore('revoked-jwt').
    RedisCacheModule.forFeature({ namespace: 'revoked-jwt', ttl: '1h' }, { namespace: 'used-jwt', ttl: '1h' }),
  ],
  providers: [
    SessionGuard,
    JwtDenyList,
    // An outage is answered with 503 and Retry-After, never with 401.
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
  ],
})
export class AppModule {}
