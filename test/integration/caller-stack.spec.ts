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
  ['resetCounter', (store) => store.resetCounter('key')],
  ['counter', (store) => store.counter('key')],
  ['inspect', (store) => store.inspect('key')],
  ['move', (store) => store.move('key', 'other')],
  ['deleteIf', (store) => store.deleteIf('key', () => true)],
  ['count', (store) => store.count()],
  ['keys', (store) => store.keys()],
  ['scan', (store) => walked(store.scan())],
  ['entries', (store) => walked(store.entries())],
  ['records', (store) => walked(store.records())],
  ['clear', (store) => store.clear()],
];

/** The function whose name has to be in the stack. */
async function guardOfTheApplication(call: Call, store: RedisCacheStore): Promise<unknown> {
  return await call(store);
}

async function walked(walk: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of walk) continue;
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

  const refused: [string, Call][] = [
    ['put', (store) => store.put('key', 1, { tags: ['wrong'] })],
    ['scan', (store) => walked(store.scan())],
    ['entries', (store) => walked(store.entries())],
    ['ping', () => app.connection.ping()],
  ];
  it.each(refused)('shows the line of the caller of %s, where Redis refuses', async (_, call) => {
    await server.cli('ACL', 'SETUSER', 'default', '-scan', '-ping');
    const error = await failureOf(call);
    await server.cli('ACL', 'SETUSER', 'default', '+@all');
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

    it('shows the line of the caller of ping', async () => {
      const error = await failureOf(() => app.connection.ping());
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
