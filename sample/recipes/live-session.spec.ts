import { Test } from '@nestjs/testing';
import { getCacheStoreToken, RedisCacheModule, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisServer } from '../../test/support/redis-server.js';
import { LiveSessions } from './live-session.js';

describe('live sessions', () => {
  it('end when another instance deletes the session', async () => {
    const server = await RedisServer.start();
    const start = async () => {
      const stores = RedisCacheModule.forFeature({ namespace: 'session', ttl: '30m', nearCache: true });
      const imports = [RedisCacheModule.forRoot({ url: server.url }), stores];
      const module = await Test.createTestingModule({ imports, providers: [LiveSessions] }).compile();
      return module.init();
    };
    const [one, other] = [await start(), await start()];
    try {
      await one.get<RedisCacheStore>(getCacheStoreToken('session')).put('id', 1);
      const ended = one.get(LiveSessions).ended('id');
      await other.get<RedisCacheStore>(getCacheStoreToken('session')).delete('id');
      await expect(ended).resolves.toBeUndefined();
    } finally {
      await Promise.all([one.close(), other.close()]);
      await server.stop();
    }
  });
});
