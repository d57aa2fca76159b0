import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';

/** On the way to a server, in ms, so that there is time between two steps of a call. */
const DELAY = 150;
/** A link that is younger is not left for a server that has become a replica, in ms. */
const SHORTEST_LIFE = 1000;

type Act = [name: string, act: (store: RedisCacheStore, key: string, tags: string[]) => Promise<unknown>];

/** Which add an entry to an index in their first step. */
const NEW: Act[] = [
  ['put', (s, key, tags) => s.put(key, 1, { tags })],
  ['putMany', (s, key, tags) => s.putMany([[key, 1]], { tags })],
  ['putIfAbsent', (s, key, tags) => s.putIfAbsent(key, 1, { tags })],
];
/** Which read the record first. */
const CHANGES: Act[] = [
  ['update', (s, key, tags) => s.update(key, () => 2, { tags, ttl: '2h' })],
  ['replace', (s, key, tags) => s.replace(key, 2, { tags, ttl: '2h' })],
  ['move', (s, key, tags) => s.move(key, `${key} moved`, { tags, ttl: '2h' })],
];

/** Which delete the record first, and then its entry in the index. */
const DELETIONS: Act[] = [
  ['delete', (s, key) => s.delete(key)],
  ['deleteMany', (s, key) => s.deleteMany([key])],
  ['take', (s, key) => s.take(key)],
];

describe('a server that takes over with older data', () => {
  let [old, successor]: RedisServer[] = [];
  let proxy: TcpProxy;
  let app: CacheApp;
  let store: RedisCacheStore;
  let linkedAt = 0;

  beforeEach(async () => {
    old = await RedisServer.start();
    successor = await RedisServer.start({ args: ['--replicaof', '127.0.0.1', String(old.port)] });
    proxy = await TcpProxy.start(old);
    app = await CacheApp.start({ url: proxy.url, ttl: '1h', timeout: '8s' });
    ({ store } = app);
    linkedAt = performance.now();
  });
  afterEach(async () => {
    await app?.close();
    await proxy?.stop();
    await Promise.all([old?.stop(), successor?.stop()]);
  });

  /** The one that is to succeed gets no more from now on. */
  async function cutOff(): Promise<void> {
    const inStep = /master_link_status:up/;
    await eventually(async () => expect(await successor?.cli('INFO', 'replication')).toMatch(inStep));
    await old?.cli('WAIT', 1, 5000);
    await successor?.cli('REPLICAOF', 'NO', 'ONE');
    await sleep(SHORTEST_LIFE - (performance.now() - linkedAt));
  }

  /** The master that there was refuses writes, and the address leads to its successor. */
  async function takeOver(): Promise<void> {
    proxy.retarget(successor as RedisServer);
    await old?.cli('REPLICAOF', '127.0.0.1', (successor as RedisServer).port);
  }

  const WALKS: [name: string, remove: () => Promise<number>][] = [
    ['deleteByTag', () => store.deleteByTag('user')],
    ['clear', () => store.clear()],
  ];
  it.each(WALKS)('amid %s has none of the records that the old one deleted', async (_, remove) => {
    const keys = Array.from({ length: 650 }, (_nothing, i) => `key ${i}`); // some pages
    await store.putMany(
      keys.map((key) => [key, 1]),
      { tags: ['user'] },
    );
    await cutOff();
    proxy.delay(DELAY);
    const removed = remove();
    await eventually(async () => expect(await old?.cli('DBSIZE')).toBeLessThan(keys.length), { interval: 1 });
    await takeOver();
    proxy.delay(0);
    await removed;
    expect(await successor?.cli('EXISTS', ...keys.map((key) => `cache:${key}`))).toBe(0);
  });

  it('amid a walk by tag hides none of the records that both have', async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`); // two pages
    await store.putMany(
      keys.map((key) => [key, 1]),
      { tags: ['user'] },
    );
    await cutOff();
    // To the end of the old server's index, and of no other.
    await Promise.all(keys.slice(0, 20).map((key) => store.touch(key, '2h')));
    const found = new Set<string>();
    for await (const key of store.scan({ tag: 'user' })) {
      if (found.size === 0) await takeOver();
      if (found.size === 0) proxy.endConnections();
      found.add(key);
    }
    expect([...found].toSorted()).toEqual(keys.toSorted());
  });

  it('amid a call has no record outside of the index of its tag, so that deleteByTag finds it', async () => {
    const tagOf = ([name]: Act) => `tag of ${name}`;
    const begin = (one: Act) => one[1](store, one[0], [tagOf(one)]);
    const acts = [...NEW, ...CHANGES, ...DELETIONS];
    const prepare = async () => {
      await store.clear();
      await store.putMany(CHANGES.map(([name]) => [name, 1]));
      await store.putMany(DELETIONS.map((one) => [one[0], 1, { tags: [tagOf(one)] }]));
    };
    await prepare();
    await Promise.all(acts.map(begin)); // from then on the old server knows all scripts
    await prepare();
    await cutOff();
    proxy.delay(DELAY);
    const changed = CHANGES.map(begin);
    await sleep(2 * DELAY); // they have read their records
    const all = Promise.all([...changed, ...[...NEW, ...DELETIONS].map(begin)]);
    const indexes = [...NEW, ...CHANGES].map((one) => `cache#${tagOf(one)}`);
    const gone = DELETIONS.map(([name]) => `cache:${name}`);
    await eventually(
      async () => {
        expect(await old?.cli('EXISTS', ...indexes)).toBe(indexes.length);
        expect(await old?.cli('EXISTS', ...gone)).toBe(0);
      },
      { interval: 1 },
    );
    await takeOver();
    await all;
    proxy.delay(0);
    const deleted = await Promise.all(acts.map(async (one) => [one[0], await store.deleteByTag(tagOf(one))]));
    expect(deleted).toEqual(acts.map(([name]) => [name, 1]));
    expect(await store.keys()).toEqual([]);
  });
});
