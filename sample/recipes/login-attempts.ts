import { HttpException, HttpStatus, Injectable } from '@nestjs/common';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';

// RedisCacheModule.forFeature({ namespace: 'attempt', ttl: '15m' })
@Injectable()
export class LoginAttempts {
  constructor(@InjectCacheStore('attempt') private readonly attempts: RedisCacheStore) {}

  /** Before a password is looked at. The sixth attempt of a quarter of an hour is refused, and locks for a minute, then for longer. */
  async begin(name: string): Promise<void> {
    const { allowed, retryAfter } = await this.attempts.increment(name, {
      limit: 5,
      block: { first: '1m', factor: 2, longest: '1h' },
    });
    if (allowed) return;
    const seconds = Math.ceil(retryAfter / 1000);
    throw new HttpException(`try again in ${seconds} s`, HttpStatus.TOO_MANY_REQUESTS);
  }

  /** After the right password. */
  async succeeded(name: string): Promise<void> {
    await this.attempts.resetCounter(name);
  }
}
