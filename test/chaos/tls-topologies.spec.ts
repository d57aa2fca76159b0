import { readFileSync } from 'node:fs';
import type { RedisCacheModuleOptions, RedisConnectionOptions } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { TcpProxy } from '../support/proxy.js';
import type { RedisServer } from '../support/redis-server.js';
import { SentinelDeployment } from '../support/sentinel.js';
import { TestCertificates } from '../support/tls.js';
import { TlsFront } from '../support/tls-front.js';

/** Longer than what a busy machine needs. */
const PATIENT = { timeout: '5s', startupTimeout: '20s', ttl: '1h' } as const;
const KEYS = Array.from({ length: 40 }, (_, i) => `key ${i}`);

/** The port of an announced `host:port`. */
const portOf = (key: string) => Number(key.slice(key.lastIndexOf(':') + 1));

let app: CacheApp | undefined;
let certificates: TestCertificates;
let ca: string;
const ends: { stop(): Promise<void> }[] = [];

beforeAll(() => {
  certificates = TestCertificates.create();
  ca = readFileSync(certificates.trusted.ca, 'utf8');
});
afterEach(async () => {
  await app?.close();
  app = undefined;
  await Promise.all(ends.splice(0).map((each) => each.stop()));
});
afterAll(() => certificates.remove());

/** Starts something in front of each server, and gives it by the server's port. */
async function before<T extends { stop(): Promise<void> }>(
  servers: readonly RedisServer[],
  start: (server: RedisServer) => Promise<T>,
): Promise<ReadonlyMap<number, T>> {
  const fronts = new Map<number, T>();
  for (const server of servers) fronts.set(server.port, await start(server));
  ends.push(...fronts.values());
  return fronts;
}

async function expectServed(options: RedisCacheModuleOptions): Promise<void> {
  app = await CacheApp.start({ ...PATIENT, ...options });
  await app.store.clear();
  await app.store.putMany(KEYS.map((key, i) => [key, i] as const));
  expect(await app.store.getMany(KEYS)).toEqual(KEYS.map((_, i) => i));
  expect((await app.store.keys()).toSorted()).toEqual(KEYS.toSorted());
  expect(app.connection.status).toBe('ready');
}

/** Every master logs its links in again before the login expires, and keeps them. */
async function expectRenewed(url: string, servers: readonly RedisServer[], masters: readonly RedisServer[]) {
  const passwords = Array.from({ length: 50 }, (_, i) => `>${i + 1}`);
  for (const server of servers) await server.cli('ACL', 'SETUSER', 'app', 'on', ...passwords, '~*', '&*', '+@all');
  let asked = 0;
  const credentials = () => ({ username: 'app', password: String(++asked), expiresAt: Date.now() + 3000 });
  app = await CacheApp.start({ ...PATIENT, url, credentials });
  const statuses: string[] = [];
  app.connection.status$.subscribe((status) => statuses.push(status));
  const linksOf = async (server: RedisServer) =>
    [...String(await server.cli('CLIENT', 'LIST')).matchAll(/^id=(\d+) .*user=app /gm)].map(([, id]) => id);
  await app.connection.ping();
  const links = await Promise.all(masters.map(linksOf));
  await eventually(
    async () => {
      for (const master of masters) {
        const stats = String(await master.cli('INFO', 'commandstats'));
        expect(stats).toMatch(/cmdstat_auth:calls=([3-9]|\d\d+),.*failed_calls=0/);
      }
    },
    { timeout: 30_000 },
  );
  for (const [i, master] of masters.entries()) expect(await linksOf(master)).toEqual(links[i]);
  await app.store.put('key', 1);
  expect(statuses).toEqual(['ready']);
}

describe('A Cluster', () => {
  let cluster: ClusterDeployment;
  beforeAll(async () => {
    cluster = await ClusterDeployment.start({ nodeTimeout: 30_000 });
  }, 60_000);
  afterAll(() => cluster?.stop(), 20_000);

  it('is served over TLS with the name of the url as the server name, also where nodes announce an address', async () => {
    const fronts = await before(cluster.nodes, (node) => TlsFront.start(node, certificates.trusted));
    const seeds = [...fronts.values()].map(({ port }) => `localhost:${port}`);
    const natMap = (key: string) => ({ host: '127.0.0.1', port: fronts.get(portOf(key))?.port ?? 0 });
    await expectServed({ url: `rediss-cluster://${seeds.join(',')}`, redis: { tls: { ca }, natMap } });
    const taken = (await cluster.masters()).map(({ port }) => fronts.get(port)?.taken ?? 0);
    for (const count of taken) expect(count).toBeGreaterThan(0);
    expect([...fronts.values()].map(({ refused }) => refused)).toEqual(cluster.nodes.map(() => 0));
  }, 60_000);

  it('whose nodes announce names that lead nowhere is reached through natMap', async () => {
    for (const [i, node] of cluster.nodes.entries()) {
      // Redis 6.2 knows no names of nodes; it announces its address, which natMap is asked about as well.
      await node.cli('CONFIG', 'SET', 'cluster-announce-hostname', `node-${i}.invalid`).catch(() => undefined);
      await node.cli('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname').catch(() => undefined);
    }
    const proxies = await before(cluster.nodes, (node) => TcpProxy.start(node));
    const asked = new Set<string>();
    const natMap = (key: string) => {
      asked.add(key);
      return { host: '127.0.0.1', port: proxies.get(portOf(key))?.port ?? 0 };
    };
    const seeds = [...proxies.values()].map(({ port }) => `127.0.0.1:${port}`);
    await expectServed({ url: `redis-cluster://${seeds.join(',')}`, redis: { natMap } });
    expect(asked.size).toBeGreaterThanOrEqual(3);
    const object = Object.fromEntries([...asked].map((key) => [key, natMap(key)]));
    await app?.close();
    await expectServed({ url: `redis-cluster://${seeds.join(',')}`, redis: { natMap: object } });
    for (const node of cluster.nodes) {
      await node.cli('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'ip').catch(() => undefined);
    }
  }, 60_000);

  it('has credentials that expire renewed on the live link to each master', async () => {
    await expectRenewed(cluster.url, cluster.nodes, await cluster.masters());
  }, 90_000);
});

describe('Sentinel', () => {
  let deployment: SentinelDeployment;
  beforeAll(async () => {
    deployment = await SentinelDeployment.start({ downAfter: 30_000 });
  }, 60_000);
  afterAll(() => deployment?.stop(), 20_000);

  it('and the master are spoken to over TLS, each with its own name as the server name', async () => {
    const sentinels = await before(deployment.sentinels, (each) => TlsFront.start(each, certificates.trusted));
    const masters = await before(deployment.servers, (each) => TlsFront.start(each, certificates.trusted));
    const natMap = (key: string) => ({ host: 'localhost', port: masters.get(portOf(key))?.port ?? 0 });
    const seeds = [...sentinels.values()].map(({ port }) => `localhost:${port}`);
    const url = `rediss-sentinel://${seeds.join(',')}/${deployment.masterName}`;
    await expectServed({ url, redis: { tls: { ca }, natMap } });
    expect(masters.get((await deployment.master()).port)?.taken).toBeGreaterThan(0);
    const fronts = [...sentinels.values(), ...masters.values()];
    expect(fronts.map(({ refused }) => refused)).toEqual(fronts.map(() => 0));
  }, 60_000);

  it('has credentials that expire renewed on the live link to the master', async () => {
    await expectRenewed(deployment.url, deployment.servers, [await deployment.master()]);
  }, 90_000);

  it('has a rotated password picked up, also by the link to the next master', async () => {
    let password = 'first';
    for (const server of deployment.servers) {
      await server.cli('ACL', 'SETUSER', 'app', 'reset', 'on', '>first', '~*', '&*', '+@all');
    }
    const credentials = () => ({ username: 'app', password });
    const { connection, store } = (app = await CacheApp.start({ ...PATIENT, url: deployment.url, credentials }));
    for (const server of deployment.servers) await server.cli('ACL', 'SETUSER', 'app', 'resetpass', '>second');
    await (await deployment.master()).cli('CLIENT', 'KILL', 'USER', 'app');
    await eventually(() => expect(connection.lastError?.message).toMatch(/WRONGPASS/), { timeout: 10_000 });
    password = 'second';
    await eventually(() => store.put('key', 1), { timeout: 10_000 });
    const heir = await deployment.failover();
    await eventually(
      async () => {
        await store.put('key', 2);
        expect(await heir.cli('CLIENT', 'LIST')).toMatch(/user=app /);
      },
      { timeout: 15_000 },
    );
  }, 60_000);

  it('is asked with a login and over TLS of its own, which the master is not spoken to with', async () => {
    for (const sentinel of deployment.sentinels) {
      await sentinel.cli('ACL', 'SETUSER', 'watcher', 'reset', 'on', '>secret', '~*', '&*', '+@all');
    }
    const fronts = await before(deployment.sentinels, (each) => TlsFront.start(each, certificates.trusted, 'sentinel'));
    const seeds = [...fronts.values()].map(({ port }) => `127.0.0.1:${port}`);
    const url = `redis-sentinel://${seeds.join(',')}/${deployment.masterName}`;
    const sentinelTLS = { ca, servername: 'sentinel', checkServerIdentity: () => undefined };
    const redis = { sentinelUsername: 'watcher', sentinelPassword: 'secret', sentinelTLS };
    await expectServed({ url, redis });
    for (const sentinel of deployment.sentinels) {
      expect(await sentinel.cli('CLIENT', 'LIST')).toMatch(/user=watcher /);
    }
    const failure = (wrong: RedisConnectionOptions) =>
      CacheApp.failure({ url, redis: { ...redis, ...wrong }, startupTimeout: '5s' });
    expect(await failure({ sentinelPassword: 'wrong' })).toMatchObject({
      option: 'redis.sentinelPassword',
      message: expect.stringContaining('WRONGPASS') as string,
    });
    expect(await failure({ sentinelTLS: {} })).toMatchObject({
      option: 'redis.sentinelTLS',
      message: expect.stringContaining('redis: { sentinelTLS: { ca } }') as string,
    });
  }, 60_000);
});
