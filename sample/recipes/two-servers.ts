import { Injectable, Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import {
  CacheUnavailableError,
  InjectCacheStore,
  InjectRedisConnection,
  RedisCacheModule,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';

@Injectable()
export class SignInLog {
  constructor(
    @InjectCacheStore('sign-in') private readonly log: RedisCacheStore,
    @InjectRedisConnection('audit') private readonly audit: RedisConnection,
  ) {}

  /** `false`: the log is down. Nobody is kept out for want of it. */
  async note(session: string, address: string): Promise<boolean> {
    if (this.audit.status !== 'ready') return false;
    try {
      await this.log.put(session, { address, at: new Date() });
      return true;
    } catch (error) {
      if (error instanceof CacheUnavailableError) return false;
      throw error;
    }
  }
}

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    RedisCacheModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        url: config.getOrThrow<string>('REDIS_URL'),
        namespace: 'session',
        ttl: '30m',
      }),
    }),
    // A further connection, which may be down when the application starts.
    RedisCacheModule.forRootAsync({
      name: 'audit',
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        url: config.getOrThrow<string>('AUDIT_REDIS_URL'),
        startup: 'background',
        ttl: '7d',
      }),
    }),
    RedisCacheModule.forFeature({ namespace: 'sign-in', connection: 'audit', ttl: '90d' }),
  ],
  providers: [SignInLog],
})
export class TwoServersModule {}
