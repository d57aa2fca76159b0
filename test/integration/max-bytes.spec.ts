import { CacheArgumentError, CacheCorruptError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { commandsDuring } from '../support/command-stats.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

const MIB = 2 ** 20;
const MAX = MIB;
const HUGE = 300 * MIB;

describe('maxBytes', () => {
  let server: RedisServer;
  let app: CacheApp;
  let store: RedisCacheStore;

  beforeAll(async () => {
    server = await RedisServer.start();
    app = await CacheApp.start(
      { url: server.url, namespace: 'a', maxBytes: MAX, ttl: '1h', timeout: '10s' },
      { namespace: 'a', name: 'miss', onCorrupt: 'miss' },
      { namespace: 'a', name: 'sliding', sliding: true, ttl: '1h' },
      { namespace: 'a', name: 'near', nearCache: true },
    );
    ({ store } = app);
  });
  afterEach(() => server.cli('FLUSHALL'));
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  /** Bytes that Redis sent to anybody while `action` ran. */
  async function sentDuring(action: () => Promise<unknown>): Promise<number> {
    const total = async () =>
      Number(/total_net_output_bytes:(\d+)/.exec(String(await server.cli('INFO', 'stats')))?.[1]);
    const before = await total();
    await action();
    return (await total()) - before;
  }

  it('does not keep deleteByTag from a record that a process with a higher limit has written', async () => {
    const [high, low] = await Promise.all(
      [MAX, 1000].map((maxBytes) => CacheApp.start({ url: server.url, maxBytes, timeout: 1000 })),
    );
    for (const count of [1, 3]) {
      for (let i = 0; i < count; i++) await high?.store.put(`key ${i}`, 'x'.repeat(5000), { tags: ['user:42'] });
      expect(await low?.store.deleteByTag('user:42')).toBe(count);
      expect(await high?.store.keys()).toEqual([]);
    }
    await Promise.all([high?.close(), low?.close()]);
  });

  it('refuses what is too large before anything is sent, whoever writes it', async () => {
    await store.put('key', 'small');
    const large = Buffer.alloc(MAX);
    const writes = [
      () => store.put('key', large),
      () => store.put('key', large, { tags: ['tag'] }),
      () => store.putMany(Object.entries<unknown>({ other: 1, key: large })),
      () => store.putIfAbsent('other', large),
      () => store.replace('key', large),
    ];
    for (const write of writes) {
      const sent = await commandsDuring(server, async () => {
        expect(await reasonOf(write())).toBeInstanceOf(CacheArgumentError);
      });
      // The near cache of this application may be opening its feed meanwhile.
      expect(Object.keys(sent).filter((name) => !/get|subscribe|client/.test(name))).toEqual([]);
    }
    await expect(store.update('key', () => large as never)).rejects.toThrow(CacheArgumentError);
    await expect(store.getOrPut('other', () => large)).rejects.toThrow(/^value: takes \d+ bytes, more than "maxBytes"/);
    expect(await store.get('key')).toBe('small');
    expect(await store.keys()).toEqual(['key']);
  });

  it('allows a record of just that size, read back whole, and not one byte more', async () => {
    const overhead = 19; // 14 of the record, five of a MessagePack binary
    await store.put('key', Buffer.alloc(MAX - overhead, 1));
    expect(await server.cli('STRLEN', 'a:key')).toBe(MAX);
    const found = await store.get<Buffer>('key');
    expect(found?.equals(Buffer.alloc(MAX - overhead, 1))).toBe(true);
    expect(await reasonOf(store.put('key', Buffer.alloc(MAX - overhead + 1)))).toBeInstanceOf(CacheArgumentError);
    // One that a process with another limit has written is whole, and refused all the same.
    const generous = await CacheApp.start({ url: server.url, namespace: 'a', maxBytes: 2 * MAX });
    try {
      await generous.store.put('key', Buffer.alloc(MAX - overhead + 1));
    } finally {
      await generous.close();
    }
    expect(await server.cli('STRLEN', 'a:key')).toBe(MAX + 1);
    await expect(store.get('key')).rejects.toThrow(CacheCorruptError);
    await expect(store.touch('key')).rejects.toThrow(CacheCorruptError);
    await expect(store.take('key')).rejects.toThrow(CacheCorruptError);
  });

  describe('a foreign value of hundreds of megabytes', () => {
    beforeEach(() => server.cli('SETRANGE', 'a:huge', HUGE - 1, '\0'));

    const reads: [string, () => Promise<unknown>][] = [
      ['get', () => store.get('huge')],
      ['get of a sliding store', () => app.storeOf('sliding').get('huge')],
      ['get of a near cache', () => app.storeOf('near').get('huge')],
      ['get with touch', () => store.get('huge', { touch: true })],
      ['getMany of one', () => store.getMany(['huge'])],
      ['getOrPut', () => store.getOrPut('huge', () => 1)],
      ['update', () => store.update('huge', () => 1)],
      ['replace', () => store.replace('huge', 1)],
      ['touch', () => store.touch('huge')],
    ];
    it.each(reads)('is refused by its length, not transferred: %s', async (_, read) => {
      const before = process.memoryUsage().external;
      const sent = await sentDuring(async () => expect(await reasonOf(read())).toBeInstanceOf(CacheCorruptError));
      expect(sent).toBeLessThan(4 * MAX);
      expect(process.memoryUsage().external - before).toBeLessThan(50 * MIB);
      expect(await server.cli('STRLEN', 'a:huge')).toBe(HUGE);
    });

    it(`counts as absent where the store says so, and can be seen, listed, deleted and replaced without being read`, async () => {
      const sent = await sentDuring(async () => {
        expect(await app.storeOf('miss').get('huge')).toBeUndefined();
        expect(await store.has('huge')).toBe(true);
        expect(await store.ttl('huge')).toBeNull();
        expect(await store.keys()).toEqual(['huge']);
        expect(await store.putIfAbsent('huge', 1)).toBe(false);
        await store.put('huge', 1);
        expect(await store.get('huge')).toBe(1);
        expect(await store.delete('huge')).toBe(true);
      });
      expect(sent).toBeLessThan(4 * MAX);
    });
  });
});
