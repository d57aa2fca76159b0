import { setTimeout as sleep } from 'node:timers/promises';
import {
  CacheCommandError,
  CacheLimitError,
  CacheUnavailableError,
  type RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { MINUTE } from '../contract/auth-contract.js';
import { commandsDuring } from '../support/command-stats.js';
import { TcpProxy } from '../support/proxy.js';
import type { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';

const TAG = 'user:42';
const NAMESPACE = 'session';
const INDEX = `${NAMESPACE}#${TAG}`;
const limited = { tags: [TAG], limit: { tag: TAG, records: 3 } };

describe('the limit of a tag in Redis', () => {
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  beforeAll(async () => {
    stage = await Stage.redis();
    ({ server } = stage);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    store = await stage.open({ namespace: NAMESPACE, ttl: '1h' });
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  const put = (key: string) => store.put(key, key, limited);
  const members = () => server.cli('ZCARD', INDEX);

  it('does not count members without a record, once their writes are over', async () => {
    await Promise.all(['a', 'b', 'c'].map(put));
    for (let i = 0; i < 1500; i++) {
      await server.cli('ZADD', INDEX, '+inf', `${newIncarnation(Date.now() - MINUTE)}dead ${i}`);
    }
    await server.cli('DEL', `${NAMESPACE}:a`);
    await expect(put('d')).rejects.toThrow(CacheLimitError); // the write of a may still be under way
    await stage.pass(MINUTE);
    await put('d');
    expect(await members()).toBe(3);
    await expect(put('e')).rejects.toThrow(CacheLimitError);
    expect(await store.keys({ tag: TAG })).toEqual(['b', 'c', 'd']);
  });

  it('refuses after a look at as many records as it allows, however many there are', async () => {
    await store.putMany(
      Array.from({ length: 3000 }, (_, i) => [`key ${i}`, i] as const),
      { tags: [TAG] },
    );
    const commands = await commandsDuring(server, () => expect(put('d')).rejects.toThrow(CacheLimitError));
    expect(commands['evalsha']).toBeLessThan(10);
  });

  describe('if the record cannot be written', () => {
    const calls: [string, (s: RedisCacheStore) => Promise<unknown>][] = [
      ['put', (s) => s.put('key', 1, limited)],
      ['putIfAbsent', (s) => s.putIfAbsent('key', 1, limited)],
      ['putMany', (s) => s.putMany([['key', 1]], limited)],
      ['move', (s) => s.move('old', 'key', limited)],
    ];

    it.each(calls)('%s leaves no member when Redis refuses the record', async (_, call) => {
      await store.put('old', 1);
      await server.cli('ACL', 'SETUSER', 'app', 'reset', 'on', '>app', '~*', '+@all', '-set');
      const url = server.url.replace('redis://', 'redis://app:app@');
      const bounded = await stage.open({ url, namespace: NAMESPACE, ttl: '1h' });
      await expect(call(bounded)).rejects.toThrow(CacheCommandError);
      expect(await store.keys()).toEqual(['old']);
      expect(await server.cli('EXISTS', INDEX)).toBe(0);
    });

    it.each(calls)('%s leaves no member when Redis refuses the index of another tag', async (_, call) => {
      await store.put('old', 1);
      await server.cli('SET', `${NAMESPACE}#other`, 'of another type');
      const tags = [TAG, 'other'];
      const withOther = Object.assign(Object.create(store) as RedisCacheStore, {
        put: (key: string, value: unknown) => store.put(key, value, { ...limited, tags }),
        putIfAbsent: (key: string, value: unknown) => store.putIfAbsent(key, value, { ...limited, tags }),
        putMany: (records: [string, unknown][]) => store.putMany(records, { ...limited, tags }),
        move: (from: string, to: string) => store.move(from, to, { ...limited, tags }),
      });
      await expect(call(withOther)).rejects.toThrow(CacheCommandError);
      expect(await store.keys()).toEqual(['old']);
      expect(await server.cli('EXISTS', INDEX)).toBe(0);
    });
  });

  it('has its room again some time after a write whose reply was lost, at whichever step', async () => {
    const proxy = await TcpProxy.start(server);
    try {
      const distant = await stage.open({ url: proxy.url, namespace: NAMESPACE, ttl: '1h', timeout: '5s' });
      for (let step = 0; step < 4; step++) {
        await store.clear();
        await distant.has('any');
        proxy.delay(20);
        const lost = distant.put('lost', 1, limited);
        await sleep(step * 40);
        void proxy.dropReplies();
        const ended = await lost.then(
          () => undefined,
          (error: unknown) => error instanceof CacheUnavailableError || error,
        );
        expect([undefined, true]).toContain(ended);
        await proxy.resume();
        await store.delete('lost');
        await stage.pass(MINUTE);
        await Promise.all(['a', 'b', 'c'].map(put));
        await expect(put('d')).rejects.toThrow(CacheLimitError);
        expect(await members()).toBe(3);
      }
    } finally {
      await proxy.stop();
    }
  });
});
