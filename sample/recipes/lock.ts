import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';

class NotOwnedError extends Error {}

// RedisCacheModule.forFeature({ namespace: 'lock', ttl: '30s' })
@Injectable()
export class Locks {
  constructor(@InjectCacheStore('lock') private readonly locks: RedisCacheStore) {}

  /** The owner of the lock; `undefined`: somebody else has it. It ends by itself after 30 s, by the clock of Redis. */
  async acquire(name: string): Promise<string | undefined> {
    const owner = randomUUID();
    return (await this.locks.putIfAbsent(name, owner)) ? owner : undefined;
  }

  /** 30 s more; `false`: the owner has lost the lock. */
  async renew(name: string, owner: string): Promise<boolean> {
    const keep = (current: string) => {
      if (current === owner) return owner;
      throw new NotOwnedError();
    };
    return this.locks.update<string>(name, keep, { ttl: '30s' }).then(
      (current) => current === owner,
      (error: unknown) => {
        if (error instanceof NotOwnedError) return false;
        throw error;
      },
    );
  }

  /** `false`: the owner had lost the lock already; that of somebody else stays. */
  async release(name: string, owner: string): Promise<boolean> {
    return this.locks.deleteIf<string>(name, (current) => current === owner);
  }
}
