import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { RedisCacheStore } from 'nestjs-redis-cache-store';

@Injectable()
export class Sessions {
  constructor(private readonly sessions: RedisCacheStore) {}

  /** After a login: a new id each time, with a tag that all sessions of this user have. */
  async start(userId: number): Promise<string> {
    const id = randomBytes(32).toString('base64url');
    await this.sessions.put(id, { userId, createdAt: new Date() }, { tags: [`user:${userId}`] });
    return id;
  }

  /** After a password change, or when an account is locked. No session started before this survives it. */
  async endAll(userId: number): Promise<number> {
    return this.sessions.deleteByTag(`user:${userId}`);
  }

  /** "Sign out my other devices". */
  async endOthers(userId: number, currentId: string): Promise<number> {
    const ids = await this.sessions.keys({ tag: `user:${userId}` });
    return this.sessions.deleteMany(ids.filter((id) => id !== currentId));
  }
}
