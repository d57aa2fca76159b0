import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5';
import { CacheConfigError, type IoredisClient } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';
import { SentinelDeployment } from '../support/sentinel.js';

const versions = [
  ['6', Redis, Cluster],
  ['5', Redis5 as unknown as typeof Redis, Cluster5 as unknown as typeof Cluster],
] as const;

describe.each(versions)('a client of ioredis %s', (_, AnyRedis, AnyCluster) => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  async function open(client: IoredisClient): Promise<CacheApp> {
    const app = await CacheApp.start({ client, timeout: '5s' });
    stops.push(() => app.close());
    return app;
  }

  it('tells where one server is, and as whom and to which database to connect; it is not touched', async () => {
    const server = await RedisServer.start({ password: 'p@ss' });
    stops.push(() => server.stop());
    const client = new AnyRedis({
      port: server.port,
      password: 'p@ss',
      db: 3,
      connectionName: 'app',
      lazyConnect: true,
    });
    const listeners = client.eventNames().length;
    const { store } = await open(client);
    await store.put('key', 1);
    expect([client.status, client.eventNames().length]).toEqual(['wait', listeners]);
    await server.cli('SELECT', 3);
    expect(await server.cli('EXISTS', 'cache:key')).toBe(1);
    expect(await server.cli('CLIENT', 'LIST')).toMatch(/name=app .*db=3/);
  });

  it('names the sentinels, and with what options they are asked', async () => {
    const deployment = await SentinelDeployment.start();
    stops.push(() => deployment.stop());
    const client = new AnyRedis({
      sentinels: deployment.sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
      name: deployment.masterName,
      lazyConnect: true,
    });
    const { store } = await open(client);
    await store.put('key', 1);
    expect(await (await deployment.master()).cli('EXISTS', 'cache:key')).toBe(1);
  }, 40_000);

  it('names the nodes of a Cluster, of which clear() then leaves nothing', async () => {
    const cluster = await ClusterDeployment.start({ password: 'p@ss' });
    stops.push(() => cluster.stop());
    const [node] = cluster.nodes;
    const client = new AnyCluster([{ host: '127.0.0.1', port: node?.port ?? 0 }], {
      lazyConnect: true,
      redisOptions: { password: 'p@ss' },
    });
    const { store } = await open(client);
    await store.putMany(Array.from({ length: 60 }, (__, i) => [`key ${i}`, i]));
    expect(await store.clear()).toBe(60);
    expect(await store.keys()).toEqual([]);
    expect(client.status).toBe('wait');
  }, 40_000);

  it('is refused at once if its keys would be others', async () => {
    const failure = await reasonOf(open(new AnyRedis({ lazyConnect: true, keyPrefix: 'app:' })));
    expect(failure).toBeInstanceOf(CacheConfigError);
    const cluster = new AnyCluster([7000], { lazyConnect: true, redisOptions: { keyPrefix: 'app:' } });
    expect(await reasonOf(open(cluster))).toMatchObject({ option: 'client' });
  });
});
