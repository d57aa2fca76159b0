// Sessions, reset tokens and attempts, before and after the move from a service on ioredis.
import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';

export interface Session {
  userId: number;
  since: Date;
}

// #region before
@Injectable()
export class LoginsBefore {
  constructor(private readonly redis: Redis) {}

  async signIn(id: string, session: Session) {
    await this.redis.set(`session:${session.userId}:${id}`, JSON.stringify(session), 'EX', 1800);
  }

  async find(userId: number, id: string): Promise<Session | undefined> {
    const text = await this.redis.get(`session:${userId}:${id}`);
    return text ? (JSON.parse(text) as Session) : undefined; // `since` is a string by now
  }

  async signOutEverywhere(userId: number) {
    for (const key of await this.redis.keys(`session:${userId}:*`)) await this.redis.del(key);
  }

  async redeem(token: string): Promise<number | undefined> {
    const text = await this.redis.getdel(`reset:${token}`);
    return text ? Number(text) : undefined;
  }

  async mayTry(address: string): Promise<boolean> {
    const attempts = await this.redis.incr(`attempts:${address}`);
    if (attempts === 1) await this.redis.expire(`attempts:${address}`, 900);
    return attempts <= 10;
  }
}
// #endregion before

// #region after
/** With `RedisCacheModule.forFeature({ namespace: 'login', ttl: '30m' }, { namespace: 'reset-token', ttl: '2h' })` in a module. */
@Injectable()
export class LoginsAfter {
  constructor(
    @InjectCacheStore('login') private readonly sessions: RedisCacheStore<Session>,
    @InjectCacheStore('reset-token') private readonly tokens: RedisCacheStore<number>,
  ) {}

  async signIn(id: string, session: Session) {
    await this.sessions.put(id, session, { tags: [`user:${session.userId}`] });
  }

  find(id: string): Promise<Session | undefined> {
    return this.sessions.get(id);
  }

  async signOutEverywhere(userId: number) {
    await this.sessions.deleteByTag(`user:${userId}`);
  }

  redeem(token: string): Promise<number | undefined> {
    return this.tokens.take(token);
  }

  async mayTry(address: string): Promise<boolean> {
    return (await this.sessions.increment(address, { ttl: '15m', limit: 10 })).allowed;
  }
}
// #endregion after
