import { CACHE_MANAGER, type Cache } from '@nestjs/cache-manager';
import { Controller, Get, type INestApplication, Post, Session as CurrentSession, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { getCacheStoreToken, RedisCacheModule, type RedisCacheModuleOptions } from 'nestjs-redis-cache-store';
import request from 'supertest';
import { SILENT } from '../../test/support/cache-app.js';
import { eventually } from '../../test/support/eventually.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { LoginsAfter, LoginsBefore } from './moving-service.js';

@Controller()
class VisitController {
  @Post('login')
  login(@CurrentSession() session: { user?: string }) {
    session.user = 'ann';
  }

  @Get('me')
  me(@CurrentSession() session: { user?: string }) {
    return { user: session.user };
  }
}

const compile = (module: Parameters<typeof Test.createTestingModule>[0]) =>
  Test.createTestingModule(module).setLogger(SILENT).compile();

describe('before and after the move to this package', () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start();
    Object.assign(process.env, { REDIS_URL: server.url, SESSION_SECRET: 'a secret of the tests' });
  });
  beforeEach(() => server.cli('FLUSHALL'));
  afterAll(async () => {
    for (const name of ['REDIS_URL', 'SESSION_SECRET']) delete process.env[name];
    await server.stop();
  });

  it('keeps the visitors of express-session signed in', async () => {
    const { useSessionsAfter, useSessionsBefore } = await import('./moving-sessions.js');
    const open = async () => {
      const imports = [
        RedisCacheModule.forRoot({ url: server.url, ttl: '1h' }),
        RedisCacheModule.forFeature({ namespace: 'sess', ttl: '1d' }),
      ];
      return (await compile({ imports, controllers: [VisitController] })).createNestApplication();
    };
    const [old, next] = await Promise.all([open(), open()]);
    const client = await useSessionsBefore(old);
    useSessionsAfter(next);
    await Promise.all([old.init(), next.init()]);
    const login = await request(old.getHttpServer()).post('/login');
    const [cookie = ''] = login.get('Set-Cookie') ?? [];
    const ask = async (app: INestApplication) =>
      (await request(app.getHttpServer()).get('/me').set('Cookie', cookie)).body as unknown;
    expect([await ask(old), await ask(next)]).toEqual([{ user: 'ann' }, { user: 'ann' }]);
    client.destroy();
    await Promise.all([old.close(), next.close()]);
  });

  it('keeps what a cache of @nestjs/cache-manager does', async () => {
    const { CacheAfterModule, CacheBeforeModule } = await import('./moving-cache.js');
    const use = async (module: Type) => {
      const app = await (await compile({ imports: [module] })).init();
      const cache = app.get<Cache>(CACHE_MANAGER);
      await cache.set('a', { cents: 5 });
      await cache.set('b', 2);
      await cache.del('b');
      const seen: unknown[] = [await cache.mget(['a', 'b']), await cache.wrap('c', () => 3), await cache.get('c')];
      await cache.clear();
      seen.push(await cache.get('a'));
      await app.close();
      return seen;
    };
    const before = await use(CacheBeforeModule);
    expect(before).toEqual([[{ cents: 5 }, undefined], 3, 3, undefined]);
    expect(await use(CacheAfterModule)).toEqual(before);
  });

  describe('of a service on ioredis', () => {
    let redis: Redis;
    let app: TestingModule;

    beforeAll(async () => {
      redis = new Redis(server.url);
      const imports = [
        RedisCacheModule.forRoot({ url: server.url, ttl: '1h' }),
        RedisCacheModule.forFeature({ namespace: 'login', ttl: '30m' }, { namespace: 'reset-token', ttl: '2h' }),
      ];
      app = await (await compile({ imports, providers: [LoginsAfter] })).init();
    });
    afterAll(async () => {
      await app.close();
      redis.disconnect();
    });

    it.each(['before', 'after'])(
      'signs users in and out, redeems a token once and counts attempts: %s',
      async (when) => {
        const [old, next] = [new LoginsBefore(redis), app.get(LoginsAfter)];
        const logins = when === 'before' ? old : next;
        const find = (userId: number, id: string) => (when === 'before' ? old.find(userId, id) : next.find(id));
        for (const id of ['a', 'b']) await logins.signIn(id, { userId: 1, since: new Date(5) });
        await logins.signIn('c', { userId: 2, since: new Date(5) });
        const since = when === 'before' ? new Date(5).toJSON() : new Date(5);
        expect(await find(1, 'a')).toEqual({ userId: 1, since });
        await logins.signOutEverywhere(1);
        expect([await find(1, 'a'), await find(1, 'b'), (await find(2, 'c'))?.userId]).toEqual([
          undefined,
          undefined,
          2,
        ]);

        await (when === 'before' ? redis.set('reset:x', 7) : app.get(getCacheStoreToken('reset-token')).put('x', 7));
        expect([await logins.redeem('x'), await logins.redeem('x')]).toEqual([7, undefined]);

        const answers = [];
        for (let i = 0; i < 12; i++) answers.push(await logins.mayTry('192.0.2.1'));
        expect(answers).toEqual(Array.from({ length: 12 }, (_, i) => i < 10));
      },
    );
  });

  it.each<[number, RedisCacheModuleOptions]>([
    [1, {}],
    [2, { nearCache: true }],
  ])('opens %i connections beside those of another client', async (expected, options) => {
    const count = async () =>
      String(await server.cli('CLIENT', 'LIST'))
        .trim()
        .split('\n').length;
    const others = await count();
    const imports = [RedisCacheModule.forRoot({ url: server.url, ttl: '1h', ...options })];
    const app = await (await compile({ imports })).init();
    await eventually(async () => expect((await count()) - others).toBe(expected));
    await app.close();
  });
});
