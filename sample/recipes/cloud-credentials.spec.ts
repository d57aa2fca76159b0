import { Test } from '@nestjs/testing';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisServer } from '../../test/support/redis-server.js';
import { entraCredentials, iamCredentials } from './cloud-credentials.js';

describe('Credentials of a cloud', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
    await server.cli('ACL', 'SETUSER', 'app', 'on', '>token', '~*', '&*', '+@all');
  });
  afterAll(() => server?.stop());

  const entra = { getToken: () => Promise.resolve({ token: 'token', expiresOnTimestamp: Date.now() + 60_000 }) };

  it.each([
    ['Entra', entraCredentials(entra, 'app')],
    ['IAM', iamCredentials(() => Promise.resolve('token'), 'app')],
  ])('log in with what %s gives', async (_, credentials) => {
    const imports = [RedisCacheModule.forRoot({ url: server.url, credentials, ttl: '1m' })];
    const module = await Test.createTestingModule({ imports }).compile();
    await module.init();
    try {
      await module.get(RedisCacheStore).put('key', 1);
      expect(String(await server.cli('CLIENT', 'LIST'))).toContain('user=app');
    } finally {
      await module.close();
    }
  });
});
