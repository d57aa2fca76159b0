import { Injectable } from '@nestjs/common';
import { InjectCacheStore, RedisCacheStore } from 'nestjs-redis-cache-store';
import { first, lastValueFrom } from 'rxjs';

// RedisCacheModule.forFeature({ namespace: 'session', ttl: '30m', nearCache: true })
@Injectable()
export class LiveSessions {
  constructor(@InjectCacheStore('session') private readonly sessions: RedisCacheStore) {}

  /** Resolves when the session is gone, by whichever instance it is deleted. */
  async ended(id: string): Promise<void> {
    await lastValueFrom(this.sessions.watch(id).pipe(first((change) => change === 'gone')), { defaultValue: 'gone' });
  }
}
