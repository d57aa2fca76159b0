import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { newIncarnation } from '../../lib/record/incarnation.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';
import { tagState, uncovered } from '../support/tag-invariant.js';
import { WorkerProcess } from '../support/worker-process.js';
import type { Session } from '../support/workers/auth.worker.js';

type Instance = WorkerProcess<typeof import('../support/workers/auth.worker.js')>;

const TAG = 'user:42';

/** Two instances of an application and this process, as a third one. */
describe('instances of one application', () => {
  const options = { namespace: 'auth', ttl: '1h', sliding: true, timeout: 10_000 };
  let stage: Stage;
  let server: RedisServer;
  let store: RedisCacheStore;
  let first: Instance;
  let second: Instance;

  const start = (): Promise<Instance> =>
    WorkerProcess.start('auth.worker', { REDIS_URL: stage.url, STORE: JSON.stringify(options) });
  /** Both do something, at the same moment. */
  const both = <T>(act: (instance: Instance, at: number) => Promise<T>): Promise<[T, T]> => {
    const at = Date.now() + 30;
    return Promise.all([act(first, at), act(second, at)]);
  };

  beforeAll(async () => {
    stage = await Stage.redis();
    server = stage.server;
    [first, second] = await Promise.all([start(), start()]);
  });
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    store = await stage.open(options);
  });
  afterEach(() => stage.clean());
  afterAll(async () => {
    await Promise.all([first?.kill(), second?.kill()]);
    await stage?.stop();
  });

  it('of 100 callers of take in two processes exactly one gets the value, for each of 20 tokens', async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `token ${i}`);
    const winners = new Set<Instance>();
    // Until they have met, so that both got something.
    for (let round = 0; winners.size < 2 || round < 5; round++) {
      await store.putMany(keys.map((key) => [key, key]));
      const [a, b] = await both((instance, at) => instance.run('take', keys, 50, at));
      expect([...a, ...b].map(String).toSorted()).toEqual(keys.toSorted());
      if (a.length > 0) winners.add(first);
      if (b.length > 0) winners.add(second);
      expect(await store.keys()).toEqual([]);
    }
  });

  it('of 100 callers of putIfAbsent in two processes exactly one writes', async () => {
    for (let round = 0; round < 10; round++) {
      const [a, b] = await both((instance, at) => instance.run('putIfAbsent', `jti ${round}`, 50, at));
      expect(a + b).toBe(1);
      expect(await store.get(`jti ${round}`)).toBe(a === 1 ? first.pid : second.pid);
    }
  });

  it('of 100 hits of two processes on a counter exactly as many are allowed as its limit says', async () => {
    for (let round = 0; round < 10; round++) {
      const [a, b] = await both((instance, at) => instance.run('hit', `counter ${round}`, 60, 50, at));
      expect([...a, ...b].toSorted((x, y) => x - y)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    }
  });

  it('of 100 writes of two processes exactly as many get a tag as its limit says, and nothing is left of the others', async () => {
    for (let round = 0; round < 5; round++) {
      // Dead members do not count, once their writes are over.
      for (let i = 0; i < 5; i++) {
        await server.cli(
          'ZADD',
          `${options.namespace}#${TAG}`,
          '+inf',
          `${newIncarnation(Date.now() - 60_000)}dead ${i}`,
        );
      }
      const [a, b] = await both((instance, at) => instance.run('putLimited', TAG, 7, 50, at));
      const written = [...a, ...b].toSorted();
      expect(written).toHaveLength(7);
      expect(await store.keys()).toEqual(written);
      for (const tag of [TAG, 'other']) {
        expect(await store.keys({ tag })).toEqual(written);
        expect(await tagState(server, options.namespace, tag)).toMatchObject({ uncovered: [], leftOver: [] });
      }
      await store.clear();
      expect(await server.cli('DBSIZE')).toBe(0);
    }
  });

  it('update loses none of 100 changes made by two processes at once, and keeps ttl and tags', async () => {
    await store.put('count', 0, { ttl: '5h', tags: [TAG] });
    await both((instance, at) => instance.run('increment', 'count', 50, at));
    expect(await store.get('count')).toBe(100);
    expect(await store.ttl('count')).toBeGreaterThan(4 * 60 * 60_000);
    expect(await store.keys({ tag: TAG })).toEqual(['count']);
  });

  it.each(['delete', 'take', 'deleteByTag', 'clear'] as const)(
    'what %s removes stays gone, while 100 callers in two processes replace, touch and update it',
    async (way) => {
      const remove = {
        delete: (key: string) => store.delete(key),
        take: (key: string) => store.take(key),
        deleteByTag: () => store.deleteByTag(TAG),
        clear: () => store.clear(),
      }[way];
      const keys = Array.from({ length: 4 }, (_, i) => `session ${i}`);
      await store.putMany(
        keys.map((key) => [key, 'put']),
        { tags: [TAG] },
      );
      const rewrites = both((instance, at) => instance.run('rewrite', keys, 50, at));
      for (const key of keys) {
        await sleep(20); // one at a time, into the midst of it
        await remove(key);
        expect(await store.get(key)).toBeUndefined();
      }
      await rewrites;
      expect(await store.keys()).toEqual([]);
      expect(await store.keys({ tag: TAG })).toEqual([]);
    },
  );

  it('getOrPut runs one load per process for 100 callers', async () => {
    const loads = await both((instance, at) => instance.run('load', 'key', 50, at));
    expect(loads).toEqual([1, 1]);
    expect(await store.get('key')).toBe('loaded');
  });

  describe('while both use sessions in every way', () => {
    const keysOf = (name: string) => Array.from({ length: 25 }, (_, i) => `${name} ${i}`);
    const all = [...keysOf('first'), ...keysOf('second')];
    const churn = () =>
      Promise.all([first.run('churn', keysOf('first'), all, TAG), second.run('churn', keysOf('second'), all, TAG)]);

    it('after deleteByTag no record is readable that was acknowledged with the tag before', async () => {
      const looks: { since: bigint; ids: string[] }[] = [];
      let deleted = 0;
      await churn();
      for (let round = 0; round < 30; round++) {
        await sleep(10);
        const since = process.hrtime.bigint();
        deleted += await store.deleteByTag(TAG);
        const ids: string[] = [];
        for await (const [, { id }] of store.entries<Session>()) ids.push(id);
        looks.push({ since, ids });
        expect(await uncovered(server, 'auth', TAG)).toEqual([]);
      }
      const [a, b] = await Promise.all([first.run('endChurn'), second.run('endChurn')]);
      const acknowledged = new Map([...a, ...b]);
      const survivors = looks.flatMap(({ since, ids }) => ids.filter((id) => (acknowledged.get(id) ?? since) < since));
      expect(survivors).toEqual([]);
      expect(deleted).toBeGreaterThan(100);
      expect(looks.filter(({ ids }) => ids.length > 0).length).toBeGreaterThan(5); // they went on
    });

    it('at rest the index names the live records, each once, and nothing else', async () => {
      for (let round = 0; round < 3; round++) {
        await churn();
        for (let i = 0; i < 5; i++) {
          await sleep(40);
          if (i % 2) await store.deleteByTag(TAG);
          else await store.take(all[i] ?? '');
        }
        await Promise.all([first.run('endChurn'), second.run('endChurn')]);
        await sleep(500); // what expires soon has expired
        const listed = await store.keys({ tag: TAG });
        expect(await tagState(server, 'auth', TAG)).toMatchObject({ uncovered: [], leftOver: [] });
        expect(listed).toEqual(await store.keys());
        expect(listed.length).toBeGreaterThan(0);
      }
    });

    it('one that dies in the middle of it leaves no record behind that its tag does not find', async () => {
      for (let deaths = 0; deaths < 2; deaths++) {
        await churn();
        await sleep(100);
        await first.kill();
        await second.run('endChurn');
        expect(await uncovered(server, 'auth', TAG)).toEqual([]);
        // Three looks, since records expire between them.
        const before = await store.keys();
        const tagged = await store.keys({ tag: TAG });
        const after = await store.keys();
        expect(after.length).toBeGreaterThan(0);
        expect(tagged).toEqual(expect.arrayContaining(after));
        expect(before).toEqual(expect.arrayContaining(tagged));
        await store.deleteByTag(TAG);
        expect(await store.keys()).toEqual([]);
        first = await start();
      }
    });
  });
});
