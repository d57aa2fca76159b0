import { randomBytes } from 'node:crypto';
import { Module, StandardSchemaValidationPipe } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_FILTER, APP_GUARD, APP_PIPE } from '@nestjs/core';
import { CacheUnavailableFilter, RedisCacheModule } from 'nestjs-redis-cache-store';
import { RedisCacheAuthModule, SessionGuard } from 'nestjs-redis-cache-store/auth';
import { MeController } from './me.controller.js';
import { MobileController } from './mobile.controller.js';
import { PagesController } from './pages.controller.js';
import { PasswordController } from './password.controller.js';
import { ResetController } from './reset.controller.js';
import { SessionCookie } from './session-cookie.js';
import { SignIn } from './sign-in.js';
import { Mail } from './mail.js';
import { Users } from './users.js';
import { TooManyAttemptsFilter } from '../recipes/too-many-attempts.filter.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    RedisCacheModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        url: config.get<string>('REDIS_URL', 'redis://localhost:6379'),
        ttl: '30m',
      }),
    }),
    RedisCacheAuthModule.forFeatureAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        // Browsers: the token is a cookie.
        sessions: {
          namespace: 'session',
          idle: '30m',
          absolute: '12h',
          limit: { sessions: 5, when: 'evict-oldest' },
          from: { cookie: SessionCookie.nameFor(config) },
        },
        refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
        // Without CODES_SECRET a code is good for the instance that has issued it.
        codes: { namespace: 'code', secret: config.get<string>('CODES_SECRET') ?? randomBytes(32) },
        attempts: { namespace: 'attempt', limit: 10, window: '15m', lockout: { first: '1m' } },
      }),
    }),
    // The mobile client: a short session as a bearer token, and a refresh token to get the next one with.
    RedisCacheAuthModule.forFeature({
      sessions: { name: 'mobile', namespace: 'mobile-session', idle: null, absolute: '15m' },
    }),
  ],
  controllers: [MeController, PagesController, PasswordController, ResetController, MobileController],
  providers: [
    Users,
    Mail,
    SignIn,
    SessionCookie,
    { provide: APP_GUARD, useClass: SessionGuard },
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
    { provide: APP_FILTER, useClass: TooManyAttemptsFilter },
    { provide: APP_PIPE, useClass: StandardSchemaValidationPipe },
  ],
})
export class AppModule {}
