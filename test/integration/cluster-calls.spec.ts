import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheConfigError } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { reasonOf } from '../support/reason-of.js';
import type { RedisServer } from '../support/redis-server.js';
import { expectShort, wayToSocket } from '../support/way-to-socket.js';

describe('On a Cluster', () => {
  let cluster: ClusterDeployment;
  beforeAll(async () => (cluster = await ClusterDeployment.start({ nodeTimeout: 10_000 })), 60_000);
  afterAll(() => cluster?.stop());

  it('a guard’s get reaches the socket through at most 7 files and 10 calls', async () => {
    const app = await CacheApp.start({ url: cluster.url });
    await app.store.put('key', 1);
    expectShort(await wayToSocket('cache:key', () => app.store.get('key')));
    await app.close();
  });

  it('nodes are asked who has which slots at each heartbeat, over the connections that there are', async () => {
    const app = await CacheApp.start({ url: cluster.url, heartbeat: 100 });
    const masters = await cluster.masters();
    const countOf = async (pattern: RegExp) => {
      const infos = await Promise.all(masters.map((node) => node.cli('INFO', 'all')));
      return infos.reduce<number>((sum, info) => sum + Number(pattern.exec(String(info))?.[1] ?? 0), 0);
    };
    const answers = () => countOf(/cmdstat_cluster(?:\|slots)?:calls=(\d+)/);
    const connections = () => countOf(/total_connections_received:(\d+)/);
    const [answersBefore, connectionsBefore] = [await answers(), await connections()];
    await eventually(async () => expect(await answers()).toBeGreaterThan(answersBefore + 5));
    expect(await connections()).toBe(connectionsBefore);
    await app.close();
  });

  it.each([
    ['throws', () => thrown(new Error('no such node')), /"natMap" threw for 127/],
    ['gives no place', () => 'localhost:7000' as never, /"natMap" gave no \{ host, port \} for 127/],
  ])('a boot fails whose natMap %s', async (_, natMap, problem) => {
    const reason = await CacheApp.failure({ url: cluster.url, redis: { natMap }, startupTimeout: '5s' });
    expect(reason).toBeInstanceOf(CacheConfigError);
    expect(String(reason)).toMatch(problem);
  });

  describe('a call', () => {
    let app: CacheApp;
    let owner: RedisServer;
    let other: RedisServer;
    let slot: number;
    beforeEach(async () => {
      app = await CacheApp.start({ url: cluster.url, timeout: '20s' });
      await app.store.putMany([1, 2].map((value) => [`{x}${value}`, value]));
      owner = await cluster.ownerOf('cache:{x}1');
      other = (await cluster.masters()).find((master) => master !== owner) ?? owner;
      slot = await cluster.slotOf('cache:{x}1');
      await Promise.all(cluster.nodes.map((node) => node.cli('CONFIG', 'RESETSTAT')));
    });
    afterEach(() => app.close());

    /** How often servers have refused a command with this code. */
    const refusals = async (code: string) => {
      const stats = await Promise.all([owner, other].map((node) => node.cli('INFO', 'errorstats')));
      return stats.reduce<number>(
        (sum, each) => sum + Number(new RegExp(`_${code}:count=(\\d+)`).exec(String(each))?.[1] ?? 0),
        0,
      );
    };
    const expectRefused = (code: string) => eventually(async () => expect(await refusals(code)).toBeGreaterThan(0));

    it('waits until its keys are in one place again (TRYAGAIN)', async () => {
      const [from, to] = await Promise.all([owner, other].map((node) => node.cli('CLUSTER', 'MYID')));
      await other.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(from));
      await owner.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(to));
      await owner.cli('MIGRATE', '127.0.0.1', other.port, 'cache:{x}1', 0, 5000);
      const call = app.connection.call(false);
      const written = app.connection.send(['mset', 'cache:{x}1', 'a', 'cache:{x}2', 'b'], call);
      await expectRefused('TRYAGAIN');
      await cluster.moveSlot(slot, other);
      expect(String(await written)).toBe('OK');
    });

    it('waits until the Cluster is up again (CLUSTERDOWN)', async () => {
      const idle = await freeSlotOf(owner, slot);
      await owner.cli('CLUSTER', 'DELSLOTS', idle);
      const written = app.store.put('{x}1', 'written');
      await expectRefused('CLUSTERDOWN');
      await owner.cli('CLUSTER', 'ADDSLOTS', idle);
      await written;
      expect(await app.store.get('{x}1')).toBe('written');
    });

    it('runs a script where it is sent by ASK, also on a node that does not know it yet (NOSCRIPT)', async () => {
      await cluster.moveSlot(slot, other, async () => {
        await other.cli('SCRIPT', 'FLUSH');
        expect(await app.store.delete('{x}1')).toBe(true);
        expect(await refusals('NOSCRIPT')).toBeGreaterThan(0);
        expect(await app.store.get('{x}1')).toBeUndefined();
      });
    });
  });

  it('a refusal that is about a key is no reason to ask who has which slots', async () => {
    const app = await CacheApp.start({ url: cluster.url });
    const owner = await cluster.ownerOf('cache:list');
    await owner.cli('RPUSH', 'cache:list', 1);
    await Promise.all(cluster.nodes.map((node) => node.cli('CONFIG', 'RESETSTAT')));
    for (let i = 0; i < 20; i++) {
      expect(await reasonOf(app.store.get('list'))).toMatchObject({ reply: 'WRONGTYPE' });
      await sleep(10);
    }
    const infos = await Promise.all(cluster.nodes.map((node) => node.cli('INFO', 'commandstats')));
    // Once more after the boot.
    expect(infos.join().match(/cmdstat_cluster(?:\|slots)?:calls=1,/g)?.length ?? 0).toBeLessThan(2);
    expect(infos.join()).not.toMatch(/cmdstat_cluster(?:\|slots)?:calls=(?!1,)/);
    await app.close();
  });

  it('a closed connection leaves no timer behind, although it was asking who has which slots', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const app = await CacheApp.start({ url: cluster.url, timeout: 1000 });
    await app.store.put('key', 1);
    for (const node of cluster.nodes) node.freeze();
    await sleep(1500); // it asks every second
    const closed = app.close();
    await sleep(100);
    for (const node of cluster.nodes) node.thaw();
    await closed;
    await eventually(() => expect(timers()).toBeLessThanOrEqual(before));
    await sleep(1500);
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('an application ends in time though a node does not tell its slots', async () => {
    let asked = (): void => undefined;
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    const node = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .on('data', (data) => {
          if (/ping/i.test(String(data))) socket.write('+PONG\r\n*2\r\n$1\r\n1\r\n$1\r\n0\r\n');
          if (/slots/i.test(String(data))) asked();
        }),
    ).listen(0, '127.0.0.1');
    await once(node, 'listening');
    const url = `redis-cluster://127.0.0.1:${(node.address() as AddressInfo).port}`;
    const app = await CacheApp.start({ url, startup: 'background', timeout: 500, redis: { connectTimeout: 60_000 } });
    await isAsked;
    const begun = performance.now();
    await app.close();
    node.close();
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  it('walks go without CLUSTER NODES, where it is not permitted', async () => {
    const rules = ['on', '>secret', '~*', '&*', '+@all', '-cluster', '+cluster|slots'];
    for (const each of cluster.nodes) await each.cli('ACL', 'SETUSER', 'app', ...rules);
    const app = await CacheApp.start({ url: cluster.url, redis: { username: 'app', password: 'secret' } });
    await app.store.putMany(Array.from({ length: 8 }, (_, i) => [`walk ${i}`, 1]));
    expect(await app.store.keys({ prefix: 'walk' })).toHaveLength(8);
    const [master] = await cluster.masters();
    // Redis 6.2 names no subcommand.
    expect(JSON.stringify(await master?.cli('ACL', 'LOG'))).toMatch(/"object","cluster(\|nodes)?"/);
    await app.close();
  });
});

/** A slot of a master other than the given one. */
async function freeSlotOf(master: RedisServer, slot: number): Promise<number> {
  const ranges = (await master.cli('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
  const [from = 0, to = 0] = ranges.find(([, , [, port]]) => port === master.port) ?? [];
  return from === slot ? to : from;
}

function thrown(error: Error): never {
  throw error;
}
