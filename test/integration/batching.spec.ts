import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheCommandError, CacheUnavailableError } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { commandsDuring } from '../support/command-stats.js';
import { TcpProxy } from '../support/proxy.js';
import { RedisServer } from '../support/redis-server.js';

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `key ${i}`);

describe('reads of one turn of the event loop', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let app: CacheApp;
  let store: RedisCacheStore;

  beforeAll(async () => (server = await RedisServer.start()));
  beforeEach(async () => {
    await server.cli('FLUSHALL');
    proxy = await TcpProxy.start(server);
    app = await CacheApp.start({ url: proxy.url, namespace: 'batch', timeout: 500 });
    ({ store } = app);
    await store.putMany(numbered(600).map((key) => [key, { key }]));
  });
  afterEach(async () => {
    await app.close();
    await proxy.stop();
  });
  afterAll(() => server?.stop());

  const getAll = (keys: readonly string[]) => Promise.all(keys.map((key) => store.get(key)));

  it('go out as one MGET', async () => {
    const keys = numbered(64);
    let found: unknown[] = [];
    // By one call, which has one deadline: of 64 calls on a busy machine some would lie too far apart to share a command.
    expect(await commandsDuring(server, async () => (found = await store.getMany(keys)))).toEqual({ mget: 1 });
    expect(found).toEqual(keys.map((key) => ({ key })));
  });

  it('of requests that arrive together are batched, too, after whatever they awaited before', async () => {
    const handle = async (key: string) => {
      await Promise.resolve();
      return store.get(key);
    };
    const { mget, ...others } = await commandsDuring(server, () => Promise.all(numbered(64).map(handle)));
    expect(others).toEqual({});
    expect(mget).toBeLessThan(8);
  });

  it('of getMany share a command with those of get', async () => {
    const reads = () => Promise.all([store.getMany(['key 1', 'key 2']), store.get('key 3'), store.getMany(['key 4'])]);
    expect(await commandsDuring(server, reads)).toEqual({ mget: 1 });
  });

  it('are split so that one reply has at most 256 records', async () => {
    let found: unknown[] = [];
    const read = async () => (found = await store.getMany(numbered(600)));
    expect(await commandsDuring(server, read)).toEqual({ mget: 3 });
    expect(found).toEqual(numbered(600).map((key) => ({ key })));
  });

  it('cost one caller who is alone one command', async () => {
    const commands = await commandsDuring(server, () => store.get('key 1'));
    expect(Object.values(commands)).toEqual([1]);
    expect(commands).not.toHaveProperty('mget');
  });

  it('of equal keys fetch them once, and each caller gets a value of its own', async () => {
    const before = proxy.bytes.replies;
    await store.put('large', { text: 'x'.repeat(100_000) });
    const [first, second] = await Promise.all(numbered(10).map(() => store.get<object>('large')));
    expect(proxy.bytes.replies - before).toBeLessThan(200_000);
    Object.assign(first ?? {}, { text: 'changed' });
    expect(second).toEqual({ text: 'x'.repeat(100_000) });
    const [bytes, same] = await Promise.all([store.get('key 1'), store.get('key 1')]);
    expect(bytes).not.toBe(same);
  });

  it('of a key of another type fail for the readers of that key, and for nobody else', async () => {
    await server.cli('RPUSH', 'batch:list', 'a');
    const keys = ['key 1', 'list', 'absent', 'key 2', 'list'];
    const [first, list, absent, second, again] = await Promise.allSettled(keys.map((key) => store.get(key)));
    expect([first, absent, second]).toEqual([
      { status: 'fulfilled', value: { key: 'key 1' } },
      { status: 'fulfilled', value: undefined },
      { status: 'fulfilled', value: { key: 'key 2' } },
    ]);
    for (const failed of [list, again]) {
      expect(failed).toMatchObject({ status: 'rejected', reason: { reply: 'WRONGTYPE' } });
      expect((failed as PromiseRejectedResult).reason).toBeInstanceOf(CacheCommandError);
    }
    await expect(store.getMany(['key 1', 'list'])).rejects.toMatchObject({ reply: 'WRONGTYPE' });
  });

  it('of corrupt bytes fail for the readers of that key, and for nobody else', async () => {
    await server.cli('SET', 'batch:corrupt', 'no record');
    const [good, bad] = await Promise.allSettled([store.get('key 1'), store.get('corrupt')]);
    expect(good).toMatchObject({ value: { key: 'key 1' } });
    expect(bad).toMatchObject({ reason: { code: 'CACHE_CORRUPT' } });
  });

  it('of some records that are there and some that are not, or empty, give each as it is', async () => {
    await server.cli('SET', 'batch:empty', '');
    const [there, absent, empty] = await Promise.allSettled(['key 1', 'absent', 'empty'].map((key) => store.get(key)));
    expect(there).toMatchObject({ value: { key: 'key 1' } });
    expect(absent).toEqual({ status: 'fulfilled', value: undefined });
    expect(empty).toMatchObject({ reason: { code: 'CACHE_CORRUPT' } });
  });

  it('settle by the deadline of each caller when Redis is silent', async () => {
    proxy.stall();
    const begun = performance.now();
    const outcomes = await Promise.allSettled(numbered(64).map((key) => store.get(key)));
    expect(performance.now() - begun).toBeLessThan(1500);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(CacheUnavailableError) });
    }
  });

  it('come back complete when the connection is lost under them', async () => {
    const dropped = proxy.dropReplies();
    expect(await getAll(numbered(64))).toEqual(numbered(64).map((key) => ({ key })));
    await dropped;
  });

  it('see every write that was acknowledged before them', async () => {
    for (let i = 0; i < 100; i++) {
      const readsBefore = getAll(numbered(5));
      await store.put('key 1', i);
      const [, value] = await getAll(numbered(5));
      expect(value).toBe(i);
      await readsBefore;
    }
  });
});

describe('reads of one turn of the event loop on a Cluster', () => {
  let cluster: ClusterDeployment;
  let app: CacheApp;

  beforeAll(async () => {
    cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 });
    app = await CacheApp.start({ url: cluster.url, namespace: 'batch' });
  }, 40_000);
  afterAll(async () => {
    await app?.close();
    await cluster?.stop();
  });

  it('reach every node, and an error only the readers of its key', async () => {
    const keys = numbered(300);
    await app.store.putMany(keys.map((key) => [key, { key }]));
    await (await cluster.ownerOf('batch:list')).cli('RPUSH', 'batch:list', 'a');
    const list = app.store.get('list').catch((error: unknown) => error);
    expect(await Promise.all(keys.map((key) => app.store.get(key)))).toEqual(keys.map((key) => ({ key })));
    expect(await list).toMatchObject({ reply: 'WRONGTYPE' });
  });

  it('find what is there after many that found nothing', async () => {
    const { store } = app;
    for (let i = 0; i < 3; i++) expect(await store.get('absent')).toBeUndefined();
    await store.put('key', 1);
    expect(await store.getMany(['absent', 'key', 'none'])).toEqual([undefined, 1, undefined]);
    await (await cluster.ownerOf('batch:set')).cli('SADD', 'batch:set', 'a');
    for (let i = 0; i < 2; i++) {
      await store.get('absent');
      await expect(store.get('set')).rejects.toMatchObject({ reply: 'WRONGTYPE' });
    }
  });

  it('and writes are a command each, since keys of a command must be of one slot', async () => {
    await app.store.putMany(numbered(50).map((key) => [key, 1]));
    expect(await app.store.getMany(numbered(50))).toEqual(numbered(50).map(() => 1));
    for (const node of cluster.nodes) {
      expect(String(await node.cli('INFO', 'commandstats'))).not.toMatch(/eval|mget/);
    }
  });
});
