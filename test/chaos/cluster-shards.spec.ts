import { Logger } from '@nestjs/common';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import { CacheApp, SILENT } from '../support/cache-app.js';
import { ClusterDeployment, startNode } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { reasonOf } from '../support/reason-of.js';
import { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 2000;
const KEYS = Array.from({ length: 60 }, (_, i) => `key ${i}`);

describe('On a Cluster without failover', () => {
  let cluster: ClusterDeployment;
  let app: CacheApp;

  beforeAll(async () => {
    cluster = await ClusterDeployment.start({ nodeTimeout: 60_000 }); // nobody takes over
  }, 40_000);
  beforeEach(async () => {
    await cluster.settled();
    app = await CacheApp.start({ url: cluster.url, timeout: TIMEOUT });
    await app.store.putMany(KEYS.map((key, i) => [key, i]));
  }, 40_000);
  afterEach(async () => {
    await app?.close();
    cluster.nodes.forEach((node) => node.thaw());
  });
  afterAll(() => cluster?.stop(), 20_000);

  const ownersOf = async () => {
    const owners = new Map<string, RedisServer>();
    for (const key of KEYS) owners.set(key, await cluster.ownerOf(`cache:${key}`));
    return owners;
  };

  it.each(['killed', 'frozen'])(
    'a shard that is %s fails fast and is told of, and the others are as before',
    async (how) => {
      const owners = await ownersOf();
      const statuses: string[] = [];
      app.connection.status$.subscribe((status) => statuses.push(status));
      const lines: string[] = [];
      Logger.overrideLogger({ ...SILENT, warn: (line: string) => void lines.push(line) });
      const [dead] = await cluster.masters();
      const lost = KEYS.filter((key) => owners.get(key) === dead);
      const others = KEYS.filter((key) => owners.get(key) !== dead);
      const read = async (key: string) => {
        const begun = performance.now();
        expect(await app.store.get(key)).toBe(KEYS.indexOf(key));
        return performance.now() - begun;
      };
      const healthy: number[] = [];
      for (let round = 0; round < 10; round++) for (const key of others) healthy.push(await read(key));
      if (how === 'killed') await dead?.kill9();
      else dead?.freeze();
      // What the dead shard owes holds up nobody else: all others are read many times before it is given up.
      const firstLost = Promise.all(lost.map((key) => reasonOf(app.store.get(key))));
      const pending = { are: true };
      void firstLost.then(() => (pending.are = false));
      let reads = 0;
      const hurt: number[] = [];
      for (let round = 0; round < 5 || (pending.are && round < 200); round++) {
        for (const key of others) hurt.push(await read(key));
        if (pending.are) reads += others.length;
      }
      expect(how === 'killed' || reads > 3 * others.length).toBe(true);
      // On a busy machine single calls are slow by chance; waiting for the dead shard would make them slower than this.
      expect(at(0.99, hurt)).toBeLessThan(5 * at(0.99, healthy) + TIMEOUT / 20);
      expect(at(0.5, hurt)).toBeLessThan(3 * at(0.5, healthy) + TIMEOUT / 200);
      await eventually(
        async () => {
          const begun = performance.now();
          const reasons = await Promise.all(lost.map((key) => reasonOf(app.store.get(key))));
          for (const reason of reasons) expect(reason).toBeInstanceOf(CacheUnavailableError);
          expect(performance.now() - begun).toBeLessThan(TIMEOUT / 2);
        },
        { timeout: 15_000 },
      );
      expect(await Promise.all(others.map((key) => app.store.get(key)))).toEqual(
        others.map((key) => KEYS.indexOf(key)),
      );
      expect(app.connection.status).toBe('degraded');
      expect(app.connection.lastError?.message).toContain(String(dead?.port));
      expect(statuses).toEqual(['ready', 'degraded']);
      expect(lines).toEqual([expect.stringMatching(new RegExp(`^Redis is degraded: .*${dead?.port}`))]);
      expect(await reasonOf(app.store.keys())).toBeInstanceOf(CacheUnavailableError);
      expect(await reasonOf(app.store.clear())).toBeInstanceOf(CacheUnavailableError);
      if (how === 'killed') await dead?.restart();
      else dead?.thaw();
      await eventually(() => expect(app.connection.status).toBe('ready'), { timeout: 15_000 });
    },
    60_000,
  );

  const strangers: [what: string, problem: string, start: (port: number) => Promise<RedisServer>][] = [
    ['another Redis', 'no Redis Cluster', (port) => RedisServer.start({ port })],
    [
      'a node of another Cluster',
      'a node of another Redis Cluster',
      async (port) => {
        const { server } = await startNode({ port });
        await server.cli('CLUSTER', 'ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => slot));
        return server;
      },
    ],
  ];
  it.each(strangers)(
    '%s that has come to have the address of a node is an outage, and gives nothing for absent',
    async (_, problem, start) => {
      const owner = await cluster.ownerOf('cache:key 0');
      await owner.kill9();
      const stranger = await start(owner.port);
      await eventually(() => expect(app.connection.lastError?.message).toContain(problem));
      expect(await reasonOf(app.store.get('key 0'))).toBeInstanceOf(CacheUnavailableError);
      await stranger.stop();
      await owner.restart();
      await eventually(() => expect(app.connection.status).toBe('ready'), { timeout: 15_000 });
    },
    40_000,
  );

  it('a slot that moves towards a node that cannot be reached is an outage of its absent keys, and of nothing else', async () => {
    const [from, to] = await cluster.masters();
    const key = KEYS.find((candidate) => candidate) ?? '';
    const owner = await cluster.ownerOf(`cache:${key}`);
    const target = owner === from ? to : from;
    const slot = await cluster.slotOf(`cache:${key}`);
    const id = String(await target?.cli('CLUSTER', 'MYID'));
    await owner.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', id);
    await owner.cli('DEL', `cache:${key}`);
    await target?.kill9();
    const reason = await reasonOf(app.store.get(key));
    expect(reason).toBeInstanceOf(CacheUnavailableError);
    const write = await reasonOf(app.store.put(key, 1));
    expect(write).toMatchObject({ outcome: 'not-sent' });
    await owner.cli('CLUSTER', 'SETSLOT', slot, 'STABLE');
    await target?.restart();
  }, 60_000);
});

/** The value below which the given part of some are. */
function at(part: number, values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(part * (values.length - 1))] ?? Infinity;
}
