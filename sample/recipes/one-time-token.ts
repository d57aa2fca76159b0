import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';

// RedisCacheModule.forFeature({ namespace: 'reset-token', ttl: '2h' })
@Injectable()
export class ResetTokens {
  constructor(@InjectCacheStore('reset-token') private readonly tokens: RedisCacheStore) {}

  /** A token that is valid once, for two hours. */
  async issue(userId: number): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    await this.tokens.put(token, { userId });
    return token;
  }

  /** Whose token it was. Of any number of callers one gets an answer; the others, `undefined`. */
  async redeem(token: string): Promise<number | undefined> {
    if (!/^[\w-]{43}$/.test(token)) return undefined;
    const record = await this.tokens.take<{ userId: number }>(token);
    return record?.userId;
  }
}
