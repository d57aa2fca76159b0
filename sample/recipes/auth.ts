// #region imports
import { ForbiddenException, Injectable, Module, UnauthorizedException } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import {
  AttemptLimiter,
  OneTimeCodes,
  RedisCacheAuthModule,
  RefreshTokens,
  Sessions,
  TooManyAttemptsError,
} from 'nestjs-redis-cache-store/auth';

/** Finds a user by name and password, in constant time. */
export abstract class Users {
  abstract verify(name: string, password: string): Promise<{ id: string } | undefined>;
}
// #endregion imports

// #region login
@Injectable()
export class Login {
  constructor(
    private readonly users: Users,
    private readonly attempts: AttemptLimiter,
    private readonly sessions: Sessions<{ cart: string[] }>,
  ) {}

  /** `anonymous`: the token of the session that the visitor had before, if any. */
  async signIn(name: string, password: string, device: string, anonymous?: string): Promise<string> {
    const key = `login:${name.trim().toLowerCase()}`;
    const { allowed, retryAfter } = await this.attempts.hit(key);
    if (!allowed) throw new TooManyAttemptsError(retryAfter); // 429, by the filter below
    const user = await this.users.verify(name, password);
    if (!user) throw new UnauthorizedException();
    await this.attempts.reset(key);
    // A new token: whoever planted the old one has nothing of the login (session fixation).
    const kept = anonymous && (await this.sessions.regenerate(anonymous, { subject: user.id }));
    const { token } = kept || (await this.sessions.create(user.id, { cart: [] }, { device }));
    return token;
  }

  /** Step-up: the password is asked for again if the last time was more than five minutes ago. */
  async changePassword(token: string, change: (userId: string) => Promise<void>): Promise<void> {
    const session = await this.sessions.get(token);
    if (!session?.subject) throw new UnauthorizedException();
    if (!session.isFresh('5m')) throw new ForbiddenException('Enter your password again');
    await change(session.subject);
    await this.sessions.revokeOthers(token);
  }
}
// #endregion login

// #region refresh
@Injectable()
export class MobileTokens {
  constructor(private readonly tokens: RefreshTokens<{ scope: string }>) {}

  /** What a client gets for its refresh token; of a lost answer and of two tabs, both get the same. */
  async refresh(refreshToken: string): Promise<{ userId: string; scope: string; refreshToken: string }> {
    const rotation = await this.tokens.rotate(refreshToken);
    if (!('token' in rotation)) throw new UnauthorizedException(); // `reused` or `unknown`: sign in again
    return { userId: rotation.subject, scope: rotation.data.scope, refreshToken: rotation.token };
  }
}
// #endregion refresh

// #region codes
@Injectable()
export class MailCodes {
  constructor(private readonly codes: OneTimeCodes) {}

  /** `bind`: the value of a cookie that this client was given before. @throws TooManyAttemptsError */
  async send(address: string, bind: string, mail: (code: string) => Promise<void>): Promise<void> {
    await mail(await this.codes.issue('login', address, undefined, { bind }));
  }

  /** `wrong` and `none` look alike, or strangers learn who has asked for a code. */
  async check(address: string, bind: string, code: string): Promise<void> {
    const { outcome } = await this.codes.redeem('login', address, code, { bind });
    if (outcome !== 'ok') throw new UnauthorizedException('The code is wrong or has expired');
  }

  /** A link to reset a password, valid once and for an hour. */
  async resetLink(userId: string): Promise<string> {
    const token = await this.codes.issueToken('reset', userId, undefined, { ttl: '1h' });
    return `https://example.com/reset?token=${token}`;
  }
}
// #endregion codes

// #region module
@Module({
  imports: [
    RedisCacheAuthModule.forFeatureAsync({
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({
        sessions: {
          namespace: 'session',
          idle: '30m',
          absolute: '12h',
          limit: { sessions: 5, when: 'evict-oldest' },
        },
        refreshTokens: { namespace: 'refresh', idle: '14d', absolute: '90d' },
        // 32 random bytes: openssl rand -base64 32
        codes: { namespace: 'code', secret: config.getOrThrow<string>('CODE_SECRET') },
        attempts: { namespace: 'attempt', limit: 10, window: '15m', lockout: { first: '1m', longest: '1h' } },
      }),
    }),
  ],
  exports: [RedisCacheAuthModule],
})
export class AuthModule {}
// #endregion module
