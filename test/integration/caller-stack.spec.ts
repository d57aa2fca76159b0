import { CacheCommandError, CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { RedisServer } from '../support/redis-server.js';

type Call = (store: RedisCacheStore) => Promise<unknown>;
const calls: [string, Call][] = [
  ['get', (store) => store.get('key')],
  ['get with touch', (store) => store.get('key', { touch: '1h' })],
  ['getMany', (store) => store.getMany(['key'])],
  ['getOrPut', (store) => store.getOrPut('key', () => 1)],
  ['put', (store) => store.put('key', 1, { tags: ['tag'] })],
  ['putMany', (store) => store.putMany([['key', 1]])],
  ['putIfAbsent', (store) => store.putIfAbsent('key', 1)],
  ['replace', (store) => store.replace('key', 1)],
  ['update', (store) => store.update('key', () => 1)],
  ['take', (store) => store.take('key')],
  ['has', (store) => store.has('key')],
  ['ttl', (store) => store.ttl('key')],
  ['touch', (store) => store.touch('key', '1h')],
  ['delete', (store) => store.delete('key')],
  ['deleteMany', (store) => store.deleteMany(['key'])],
  ['deleteByTag', (store) => store.deleteByTag('tag')],
  ['increment', (store) => store.increment('key')],
  ['keys', (store) => store.keys()],
  ['clear', (store) => store.clear()],
];

/** The function whose name has to be in the stack. */
async function guardOfTheApplication(call: Call, store: RedisCacheStore): Promise<unknown> {
  return await call(store);
}

describe('the stack of an error from Redis', () => {
  let server: RedisServer;
  let app: CacheApp;
  beforeAll(async () => {
    server = await RedisServer.start();
    app = await CacheApp.start({ url: server.url, ttl: '1h', timeout: '500ms' });
    await server.cli('SET', 'cache:list', 'x');
    await server.cli('SET', 'cache#wrong', 'x');
  });
  afterAll(async () => {
    await app.close();
    await server.stop();
  });

  const failureOf = (call: Call) =>
    guardOfTheApplication(call, app.store).then(
      () => undefined,
      (error: unknown) => error as Error,
    );

  it('shows the line of the caller, where Redis refuses', async () => {
    const error = await failureOf((store) => store.put('key', 1, { tags: ['wrong'] }));
    expect(error).toBeInstanceOf(CacheCommandError);
    expect(error?.stack).toMatch(/guardOfTheApplication.*caller-stack\.spec/);
  });

  describe('in an outage', () => {
    beforeAll(() => server.kill9());

    it.each(calls)('shows the line of the caller of %s', async (_, call) => {
      const error = await failureOf(call);
      expect(error).toBeInstanceOf(CacheUnavailableError);
      expect(error?.stack).toMatch(/guardOfTheApplication.*caller-stack\.spec/);
    });

    it('belongs to one caller, also if one lost command fails many', async () => {
      const first = async () => await app.store.get('key');
      const second = async () => await app.store.get('key').catch((error: unknown) => Promise.reject(error));
      const results = await Promise.allSettled([first(), second()]);
      const errors = results.map((result) => (result.status === 'rejected' ? (result.reason as Error) : undefined));
      expect(errors[0]).not.toBe(errors[1]);
      expect(errors[0]?.stack).toMatch(/at (async )?first /);
      expect(errors[1]?.stack).toMatch(/at (async )?second /);
    });
  });
});
