import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { commandsDuring } from '../support/command-stats.js';
import { RedisServer } from '../support/redis-server.js';

const OURS = 10_000;
const FOREIGN = 100_000;

/** Keys of others that come as close as they can. */
const NEIGHBOURS = [
  'big',
  'big#tag',
  'bigger:key',
  'big.ger:key',
  'Big:key',
  'bi?:key',
  'b*:key',
  'xbig:key',
  '[big]:key',
];

describe(`${OURS} keys of ours among ${FOREIGN} foreign ones`, () => {
  let server: RedisServer;
  let app: CacheApp;
  let store: RedisCacheStore;
  const ours = Array.from({ length: OURS }, (_, i) => `key ${i}`).toSorted();

  beforeAll(async () => {
    server = await RedisServer.start();
    app = await CacheApp.start({ url: server.url, namespace: 'big' });
    ({ store } = app);
    await server.cli('DEBUG', 'POPULATE', FOREIGN, 'foreign');
    for (const key of NEIGHBOURS) await server.cli('SET', key, 'foreign');
    await store.putMany(ours.map((key, i) => [key, i]));
  }, 60_000);
  afterAll(async () => {
    await app?.close();
    await server?.stop();
  });

  it('are listed completely, each once, by SCAN and never by KEYS', async () => {
    let keys: string[] = [];
    const sent = await commandsDuring(server, async () => (keys = await store.keys()));
    expect(keys).toEqual(ours);
    expect(Object.keys(sent)).toEqual(['scan']);
    // In pages that neither stall Redis nor take a round trip for every few keys.
    expect(sent['scan']).toBeGreaterThan(10);
    expect(sent['scan']).toBeLessThan(2000);
  });

  it('are given one by one, with their values, in batches', async () => {
    const found = new Map<string, unknown>();
    let yielded = 0;
    const sent = await commandsDuring(server, async () => {
      for await (const [key, value] of store.entries<number>()) {
        found.set(key, value);
        yielded++;
      }
    });
    expect(yielded).toBe(OURS);
    expect([...found.keys()].toSorted()).toEqual(ours);
    expect([...found].filter(([key, value]) => ours[Number(value)] !== key)).toEqual([]);
    expect(Object.values(sent).reduce((sum, calls) => sum + calls, 0)).toBeLessThan(OURS);
  });

  it('are given once each although the connection is lost amid the walk', async () => {
    const keys: string[] = [];
    let cuts = 0;
    for await (const key of store.scan()) {
      if (keys.push(key) % 4000 === 1) cuts += Number(await server.cli('CLIENT', 'KILL', 'TYPE', 'normal'));
    }
    expect(cuts).toBeGreaterThan(2);
    expect(keys.toSorted()).toEqual(ours);
  });

  it('can be walked over in part: who stops early asks no further', async () => {
    const sent = await commandsDuring(server, async () => {
      for await (const key of store.scan()) if (key) break;
    });
    expect(sent['scan']).toBeLessThan(20);
  });

  it('keep Redis answering others while they are listed', async () => {
    await server.cli('SLOWLOG', 'RESET');
    await server.cli('CONFIG', 'SET', 'slowlog-log-slower-than', '50000');
    await store.keys();
    expect(await server.cli('SLOWLOG', 'LEN')).toBe(0);
  });

  it('are cleared, and they alone, without KEYS, FLUSHDB or FLUSHALL', async () => {
    let cleared = 0;
    const sent = await commandsDuring(server, async () => (cleared = await store.clear()));
    expect(cleared).toBe(OURS);
    expect(Object.keys(sent).filter((command) => ['keys', 'flushdb', 'flushall'].includes(command))).toEqual([]);
    expect(await store.keys()).toEqual([]);
    expect(await server.cli('DBSIZE')).toBe(FOREIGN + NEIGHBOURS.length);
    expect(await server.cli('EXISTS', ...NEIGHBOURS)).toBe(NEIGHBOURS.length);
  });
});
