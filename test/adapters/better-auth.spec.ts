import { betterAuth } from 'better-auth';
import { CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { redisCacheSecondaryStorage } from 'nestjs-redis-cache-store/better-auth';
import { Stage } from '../support/stage.js';

const USER = { email: 'ann@example.org', password: 'correct horse battery', name: 'Ann' };

describe('the secondary storage for better-auth', () => {
  let stage: Stage;
  let store: RedisCacheStore;

  beforeAll(async () => {
    stage = await Stage.redis();
  });
  beforeEach(async () => {
    store = await stage.open({ ttl: '1h' });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage.stop());

  /** An instance of an application; its database is of no interest here. */
  const open = (rateLimit = false) =>
    betterAuth({
      baseURL: 'http://localhost:3000',
      secret: 'a secret of the tests, which is long enough',
      emailAndPassword: { enabled: true },
      secondaryStorage: redisCacheSecondaryStorage(store),
      rateLimit: { enabled: rateLimit, storage: 'secondary-storage', window: 60, max: 5 },
      advanced: { ipAddress: { ipAddressHeaders: ['x-client'] } },
      logger: { disabled: true },
      telemetry: { enabled: false },
    });

  it('gives null for what is not there, and texts as they were set', async () => {
    const storage = redisCacheSecondaryStorage(store);
    expect(await storage.get('key')).toBeNull();
    await storage.set('key', '{"a":1}');
    expect(await storage.get('key')).toBe('{"a":1}');
    await storage.delete('key');
    expect(await storage.get('key')).toBeNull();
  });

  it('takes a ttl in seconds', async () => {
    const storage = redisCacheSecondaryStorage(store);
    await storage.set('key', 'value', 60);
    expect(await store.ttl('key')).toBeLessThanOrEqual(60_000);
    await stage.pass(60_001);
    expect(await storage.get('key')).toBeNull();
  });

  it('gives a value away once, of any number of callers', async () => {
    const { set, getAndDelete } = redisCacheSecondaryStorage(store);
    await set('key', 'value', 60);
    const taken = await Promise.all(Array.from({ length: 50 }, () => getAndDelete('key')));
    expect(taken.filter((value) => value !== null)).toEqual(['value']);
  });

  it('counts every one of many increments, in a window that the first begins', async () => {
    const { increment } = redisCacheSecondaryStorage(store);
    const counts = await Promise.all(Array.from({ length: 50 }, () => increment('key', 60)));
    expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    await stage.pass(40_000);
    expect(await increment('key', 60)).toBe(51);
    await stage.pass(20_001);
    expect(await increment('key', 60)).toBe(1);
  });

  it('carries the sessions of better-auth', async () => {
    const auth = open();
    const { headers } = await auth.api.signUpEmail({ body: USER, returnHeaders: true });
    const cookie = headers
      .getSetCookie()
      .map((each) => each.split(';')[0])
      .join('; ');
    const session = await auth.api.getSession({ headers: new Headers({ cookie }) });
    expect(session?.user.email).toBe(USER.email);
    // An instance with another database, in which there is nobody: the session is in Redis.
    const seen = await open().api.getSession({ headers: new Headers({ cookie }) });
    expect(seen?.user.email).toBe(USER.email);
    await auth.api.signOut({ headers: new Headers({ cookie }) });
    expect(await open().api.getSession({ headers: new Headers({ cookie }) })).toBeNull();
  });

  it('limits the rate of two instances together', async () => {
    const instances = [open(true), open(true)];
    const ask = (i: number) =>
      instances[i % 2]?.handler(
        new Request('http://localhost:3000/api/auth/get-session', { headers: { 'x-client': '192.0.2.1' } }),
      );
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i)));
    expect(answers.filter((answer) => answer?.status === 429)).toHaveLength(15);
  });

  it('rejects in an outage, which is no missing session', async () => {
    const own = await Stage.redis();
    try {
      const storage = redisCacheSecondaryStorage(await own.open({ timeout: '500ms' }));
      await own.server.kill9();
      await expect(storage.get('key')).rejects.toThrow(CacheUnavailableError);
      await expect(storage.increment('key', 60)).rejects.toThrow(CacheUnavailableError);
    } finally {
      await own.stop();
    }
  });
});
