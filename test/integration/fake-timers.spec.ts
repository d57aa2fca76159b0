import FakeTimers from '@sinonjs/fake-timers';
import { CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';

const { jest } = import.meta;

type Install = (now: number) => { advance(ms: number): unknown; uninstall(): unknown };
const libraries: [string, Install][] = [
  [
    'Jest’s',
    (now) => {
      jest.useFakeTimers({ now });
      return { advance: (ms) => jest.advanceTimersByTime(ms), uninstall: () => jest.useRealTimers() };
    },
  ],
  // Vitest's are these, without nextTick and queueMicrotask.
  [
    'Sinon’s',
    (now) => {
      const clock = FakeTimers.install({ now });
      return { advance: (ms) => void clock.tick(ms), uninstall: () => clock.uninstall() };
    },
  ],
];

/** Every kind of call, none of which may wait for a timer that nobody advances. */
async function useAll(store: RedisCacheStore): Promise<void> {
  await store.put('a', 1, { ttl: '1m', tags: ['tag'] });
  await store.putMany([['b', 2]], { ttl: '2m' });
  expect(await store.putIfAbsent('a', 2)).toBe(false);
  expect(await store.replace('a', 3)).toBe(true);
  expect(await store.update<number>('a', (value) => value + 1)).toBe(4);
  expect(await store.getMany(['a', 'b'])).toEqual([4, 2]);
  expect(await store.getOrPut('c', () => 5)).toBe(5);
  expect(await store.take('c')).toBe(5);
  expect(await store.increment('n', { ttl: '1m' })).toMatchObject({ count: 1 });
  expect(await store.keys()).toEqual(['a', 'b']);
  expect(await store.keys({ tag: 'tag' })).toEqual(['a']);
}

describe.each(libraries)('with %s fake timers, memory:', (_, install) => {
  let clock: ReturnType<Install> | undefined;
  let app: CacheApp | undefined;
  afterEach(async () => {
    clock?.uninstall();
    clock = undefined;
    await app?.close();
  });

  const begun: [string, () => Promise<void>][] = [
    [
      'before the boot',
      async () => {
        clock = install(Date.now());
        app = await CacheApp.start({ url: 'memory:', ttl: null });
      },
    ],
    [
      'after the boot',
      async () => {
        app = await CacheApp.start({ url: 'memory:', ttl: null });
        clock = install(Date.now());
      },
    ],
  ];

  it.each(begun)('answers every call and follows the fake clock, if they are begun %s', async (__, begin) => {
    await begin();
    const { store } = app as CacheApp;
    await useAll(store);
    clock?.advance(59_000);
    expect(await store.get('a')).toBe(4);
    expect(await store.ttl('a')).toBe(1000);
    clock?.advance(1000);
    expect(await store.get('a')).toBeUndefined();
    expect(await store.keys()).toEqual(['b']);
    expect(await store.ttl('b')).toBe(60_000);
    expect(await store.deleteByTag('tag')).toBe(0);
    expect(await store.clear()).toBe(1);
  });
});

describe.each(libraries)('with %s fake timers that begin after the boot, on Redis', (_, install) => {
  let server: RedisServer;
  let app: CacheApp;
  let clock: ReturnType<Install> | undefined;

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(async () => {
    app = await CacheApp.start({ url: server.url, ttl: null, timeout: '1s' });
    await app.store.clear();
    clock = install(Date.now());
  });
  afterEach(async () => {
    clock?.uninstall();
    server.thaw();
    await app.close();
  });
  afterAll(() => server.stop());

  // oxlint-disable-next-line jest/expect-expect -- useAll expects
  it('every call is answered', () => useAll(app.store));

  it('a call rejects in time while the server is frozen, and the next one is answered once it runs again', async () => {
    server.freeze();
    await expect(app.store.get('a')).rejects.toThrow(CacheUnavailableError);
    server.thaw();
    clock?.uninstall();
    await eventually(() => app.store.put('a', 1));
    expect(await app.store.get('a')).toBe(1);
  });
});

describe('with fake timers that fake process.nextTick', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(() => jest.useRealTimers());
  afterAll(() => server.stop());

  it('an application on Redis says at its boot why it cannot connect, and how to begin them instead', async () => {
    jest.useFakeTimers();
    const error = await CacheApp.failure({ url: server.url, ttl: null, startupTimeout: '500ms' });
    expect(error).toBeInstanceOf(CacheUnavailableError);
    const message = expect.stringMatching(/process\.nextTick is faked.*doNotFake: \['nextTick'/);
    expect(error).toMatchObject({ cause: { message } });
  });

  it('an application boots on Redis, if they are begun as that error says', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    const app = await CacheApp.start({ url: server.url, ttl: null });
    await app.store.put('key', 1);
    expect(await app.store.get('key')).toBe(1);
    await app.close();
  });
});
