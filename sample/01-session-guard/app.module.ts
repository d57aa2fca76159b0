import { Module, StandardSchemaValidationPipe } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { CacheUnavailableFilter, RedisCacheModule } from 'nestjs-redis-cache-store';
import { AdminController } from './admin.controller.js';
import { AuthController } from './auth.controller.js';
import { PasswordResetController } from './password-reset.controller.js';
import { sessionSchema } from './session.js';
import { Users } from './users.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    RedisCacheModule.forRootAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        url: config.get<string>('REDIS_URL', 'redis://localhost:6379'),
        namespace: 'session',
        ttl: '30m',
        sliding: true, // every request gives a session its half hour again …
        maxAge: '12h', // … but nothing makes it older than this
        schema: sessionSchema,
        onCorrupt: 'miss', // a session that cannot be read, by an older release perhaps, is no session; the log has a warning
      }),
    }),
    RedisCacheModule.forFeature({ namespace: 'reset-token', ttl: '2h' }),
  ],
  controllers: [AuthController, AdminController, PasswordResetController],
  providers: [
    Users,
    { provide: APP_FILTER, useClass: CacheUnavailableFilter },
    { provide: APP_PIPE, useClass: StandardSchemaValidationPipe },
  ],
})
export class AppModule {}
