import { Controller, Get, type INestApplication, type Type, UnauthorizedException, UseGuards } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheUnavailableError, getCacheStoreToken, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import request from 'supertest';
import { SILENT } from '../../test/support/cache-app.js';
import { RedisServer } from '../../test/support/redis-server.js';
import { JwtDenyList } from './jwt-deny-list.js';
import { Locks } from './lock.js';
import { Cart, type CartSession } from './session-update.js';
import { type Session, SessionGuard } from './session.guard.js';

@Controller()
@UseGuards(SessionGuard)
class MeController {
  @Get('me')
  me() {
    return 'hello';
  }
}

const CALLERS = 100;
const UNKNOWN = 'x'.repeat(43);

describe('recipe', () => {
  let server: RedisServer;
  /** Two instances of one application. */
  let apps: [INestApplication, INestApplication];

  async function start(): Promise<INestApplication> {
    const namespaces = ['lock', 'revoked-jwt', 'used-jwt'];
    const module = await Test.createTestingModule({
      imports: [
        RedisCacheModule.forRoot({ url: server.url, namespace: 'session', ttl: '30m', timeout: '10s' }),
        RedisCacheModule.forFeature(...namespaces.map((namespace) => ({ namespace, ttl: '2h' }))),
      ],
      controllers: [MeController],
      providers: [Cart, JwtDenyList, Locks],
    })
      .setLogger(SILENT)
      .compile();
    return module.createNestApplication().init();
  }

  beforeAll(async () => {
    server = await RedisServer.start();
    apps = [await start(), await start()];
  });
  beforeEach(() => server.cli('FLUSHALL'));
  afterAll(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await server.stop();
  });

  const of = <T>(recipe: Type<T>): T => apps[0].get(recipe);
  /** Calls that come together, on both instances; their results. */
  const together = <T, Result>(recipe: Type<T>, call: (instance: T) => Promise<Result>) =>
    Promise.allSettled(Array.from({ length: CALLERS }, (_, i) => call(apps[i % 2 === 0 ? 0 : 1].get(recipe))));
  const store = () => apps[0].get<RedisCacheStore>(RedisCacheStore);
  const ttlOf = (name: string, key: string) => apps[0].get<RedisCacheStore>(getCacheStoreToken(name)).ttl(key);

  it('module: boots with REDIS_URL and nothing else', async () => {
    process.env['REDIS_URL'] = server.url;
    const { AppModule } = await import('./app.module.js');
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .setLogger(SILENT)
      .compile();
    const app = await module.init();
    await expect(app.get(JwtDenyList).assertNotRevoked({ jti: UNKNOWN })).resolves.toBeUndefined();
    await app.close();
    delete process.env['REDIS_URL'];
  });

  it('module: answers 503 while Redis is down', async () => {
    const own = await RedisServer.start();
    process.env['REDIS_URL'] = own.url;
    const { AppModule } = await import('./app.module.js');
    const builder = Test.createTestingModule({ imports: [AppModule], controllers: [MeController] });
    const app = (await builder.setLogger(SILENT).compile()).createNestApplication();
    try {
      await app.init();
      await own.kill9();
      const { status, headers } = await request(app.getHttpServer())
        .get('/me')
        .set('Authorization', `Bearer ${UNKNOWN}`);
      expect([status, headers['retry-after']]).toEqual([503, '1']);
    } finally {
      delete process.env['REDIS_URL'];
      await app.close();
      await own.stop();
    }
  });

  describe('session guard', () => {
    const statusOf = async (authorization: string) =>
      (await request(apps[0].getHttpServer()).get('/me').set('Authorization', authorization)).status;

    it('lets a session in, and only that', async () => {
      const id = 'y'.repeat(43);
      await store().put<Session>(id, { userId: 42, createdAt: new Date() });
      expect(await statusOf(`Bearer ${id}`)).toBe(200);
      await store().delete(id);
      for (const authorization of [`Bearer ${id}`, 'Bearer *', '']) expect(await statusOf(authorization)).toBe(401);
    });

    it('answers 401 to a record that cannot be read', async () => {
      await server.cli('SET', `session:${UNKNOWN}`, '{"userId":1}');
      expect(await statusOf(`Bearer ${UNKNOWN}`)).toBe(401);
    });
  });

  describe('lock', () => {
    it(`has one owner of ${CALLERS} callers of two instances, who alone can renew and release it`, async () => {
      const results = await together(Locks, (locks) => locks.acquire('job'));
      const owners = results.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : []));
      expect(owners).toHaveLength(1);
      const [owner = ''] = owners;
      await server.cli('PEXPIRE', 'lock:job', 5000);
      expect([await of(Locks).renew('job', 'other'), await of(Locks).release('job', 'other')]).toEqual([false, false]);
      expect(await ttlOf('lock', 'job')).toBeLessThanOrEqual(5000);
      expect(await of(Locks).renew('job', owner)).toBe(true);
      expect(await ttlOf('lock', 'job')).toBeGreaterThan(5000);
      // It ends by Redis' clock; its next owner is safe from the first one.
      await server.cli('DEL', 'lock:job');
      expect(await of(Locks).renew('job', owner)).toBe(false);
      const next = await of(Locks).acquire('job');
      expect([await of(Locks).release('job', owner), await of(Locks).renew('job', owner)]).toEqual([false, false]);
      expect(await of(Locks).release('job', next ?? '')).toBe(true);
    });
  });

  describe('deny-list', () => {
    const inSeconds = (seconds: number) => ({ jti: 'one', exp: Math.floor(Date.now() / 1000) + seconds });

    it('refuses a revoked token for as long as anybody would accept it, and no other', async () => {
      const claims = inSeconds(600);
      await of(JwtDenyList).assertNotRevoked(claims);
      await of(JwtDenyList).revoke(claims);
      await expect(of(JwtDenyList).assertNotRevoked(claims)).rejects.toThrow(UnauthorizedException);
      await of(JwtDenyList).assertNotRevoked({ ...claims, jti: 'two' });
      const ttl = await ttlOf('revoked-jwt', 'one');
      expect(ttl).toBeGreaterThan(640_000);
      expect(ttl).toBeLessThanOrEqual(660_000);
    });

    it.each([
      ['in the year 2286', 9_999_999_999],
      ['in the year 9999', 253_402_300_799],
      ['in milliseconds, by mistake', Date.now() + 600_000],
      ['never', undefined],
    ])('remembers a token that expires %s', async (_, exp) => {
      const claims = { jti: 'one', ...(exp !== undefined && { exp }) };
      await of(JwtDenyList).revoke(claims);
      await expect(of(JwtDenyList).assertNotRevoked(claims)).rejects.toThrow(UnauthorizedException);
      await of(JwtDenyList).assertFirstUse(claims);
      await expect(of(JwtDenyList).assertFirstUse(claims)).rejects.toThrow(UnauthorizedException);
    });

    it('remembers nothing of a token that nobody accepts any more', async () => {
      await of(JwtDenyList).revoke(inSeconds(-3600));
      expect(await server.cli('DBSIZE')).toBe(0);
    });

    it(`passes one of ${CALLERS} presentations of a token that is good for one request`, async () => {
      const claims = inSeconds(600);
      const results = await together(JwtDenyList, (list) => list.assertFirstUse(claims));
      const refused = results.filter((result) => result.status === 'rejected');
      expect(refused).toHaveLength(CALLERS - 1);
      for (const { reason } of refused) expect(reason).toBeInstanceOf(UnauthorizedException);
    });
  });

  describe('session update', () => {
    it(`keeps every one of ${CALLERS} changes that two instances make at once`, async () => {
      await store().put(UNKNOWN, { userId: 42, cart: new Map() });
      const results = await together(Cart, (cart) => cart.add(UNKNOWN, 'apple'));
      expect(results.filter((result) => result.status === 'rejected')).toEqual([]);
      const session = await store().get<CartSession>(UNKNOWN);
      expect(session?.cart.get('apple')).toBe(CALLERS);
    });

    it('does not bring a session back that is gone', async () => {
      await expect(of(Cart).add(UNKNOWN, 'apple')).rejects.toThrow(UnauthorizedException);
      expect(await server.cli('DBSIZE')).toBe(0);
    });
  });

  // The last: it leaves no server behind.
  it('means an outage by none of its answers', async () => {
    await server.kill9();
    const claims = { jti: 'one', exp: Math.floor(Date.now() / 1000) + 600 };
    const calls = [
      of(JwtDenyList).assertNotRevoked(claims),
      of(JwtDenyList).assertFirstUse(claims),
      of(Cart).add(UNKNOWN, 'apple'),
    ];
    const results = await Promise.allSettled(calls);
    for (const result of results) expect(result).toMatchObject({ reason: expect.any(CacheUnavailableError) });
  });
});
