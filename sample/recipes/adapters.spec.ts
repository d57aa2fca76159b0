import { CACHE_MANAGER, type Cache } from '@nestjs/cache-manager';
import { Logger } from '@nestjs/common';
import { getCacheStoreToken, type RedisCacheStore } from 'nestjs-redis-cache-store';
import request from 'supertest';
import { RedisServer } from '../../test/support/redis-server.js';

describe('the wiring of the adapters', () => {
  let server: RedisServer;

  beforeAll(async () => {
    Logger.overrideLogger(false);
    server = await RedisServer.start();
    Object.assign(process.env, {
      REDIS_URL: server.url,
      SESSION_SECRET: 'a secret',
      BETTER_AUTH_SECRET: 'a'.repeat(40),
    });
  });
  afterAll(async () => {
    for (const name of ['REDIS_URL', 'SESSION_SECRET', 'BETTER_AUTH_SECRET']) delete process.env[name];
    await server.stop();
  });

  it('boots, with the cache and the users of better-auth in stores of their own', async () => {
    const { bootstrap } = await import('./adapters.js');
    const app = await (await bootstrap()).init();
    const store = (name: string): RedisCacheStore => app.get(getCacheStoreToken(name));
    await app.get<Cache>(CACHE_MANAGER).set('price', 5);
    expect(await store('http-cache').count()).toBe(1);
    const user = { email: 'ann@example.org', password: 'correct horse battery', name: 'Ann' };
    const visitor = request(app.getHttpServer());
    expect((await visitor.post('/api/auth/sign-up/email').send(user)).body).toMatchObject({ user: { name: 'Ann' } });
    expect(await store('auth').count()).toBeGreaterThan(0);
    // A visitor for whom nothing is stored has no session.
    expect((await visitor.get('/')).status).toBe(404);
    expect(await store('sess').count()).toBe(0);
    await app.close();
  });
});
