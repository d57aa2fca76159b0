import { setTimeout as sleep } from 'node:timers/promises';
import { CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { endure } from '../support/endure.js';
import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { expectCallsSettled, expectPromisesKept } from '../support/load.js';
import { reasonOf } from '../support/reason-of.js';
import type { RedisServer } from '../support/redis-server.js';

const TIMEOUT = 500;
/** A backoff step at its longest, a refresh of the slots, and a connection attempt that had just begun, in ms. */
const RECOVERY = 2000 + 1000 + 1000;
/** How many slots move to another master. */
const MOVED = LONG ? 400 : 60;

describe('On a Cluster', () => {
  let cluster: ClusterDeployment;
  let apps: CacheApp[] = [];
  /** Of each test its own: what a master that comes back still has from the test before is not found. */
  let namespace = '';
  let tests = 0;

  const open = async (options = {}) => {
    const app = await CacheApp.start({ url: cluster.url, timeout: TIMEOUT, namespace, ...options });
    apps.push(app);
    return app;
  };

  beforeAll(async () => (cluster = await ClusterDeployment.start({ password: 'p@ss' })), 40_000);
  beforeEach(() => (namespace = `chaos-${tests++}`));
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()));
    apps = [];
    await cluster.heal();
  }, 40_000);
  afterAll(() => cluster?.stop(), 20_000);

  describe('walks', () => {
    const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`).toSorted();

    /** Pages of keys of one slot of each master. */
    async function pagesOnEachMaster(store: RedisCacheStore): Promise<[string[], Map<RedisServer, string>]> {
      const tags = new Map<RedisServer, string>();
      for (let i = 0; tags.size < 3; i++) tags.set(await cluster.ownerOf(`${namespace}:{${i}}`), `{${i}}`);
      const all = [...tags.values()].flatMap((tag) => Array.from({ length: 300 }, (_, i) => `${tag}${i}`)).toSorted();
      await store.putMany(all.map((key) => [key, 1]));
      return [all, tags];
    }

    it('visit every master once, also those that this process has never spoken to', async () => {
      const { store: writer } = await open();
      await writer.putMany(keys.map((key) => [key, 1]));
      const { store } = await open();
      const found: string[] = [];
      for await (const key of store.scan()) found.push(key);
      expect(found.toSorted()).toEqual(keys);
      expect(await (await open()).store.clear()).toBe(keys.length);
      expect(await store.keys()).toEqual([]);
    });

    it('are complete although a slot moves, with its keys, to a master that they have visited already', async () => {
      const { store } = await open();
      const [all, tags] = await pagesOnEachMaster(store);
      const found: string[] = [];
      for await (const key of store.scan()) {
        if (found.push(key) > 1) continue;
        const visited = await cluster.ownerOf(`${namespace}:${key}`);
        const [, tag] = [...tags].find(([master]) => master !== visited) ?? [];
        const slot = await cluster.slotOf(`${namespace}:${tag}`);
        await cluster.moveSlot(slot, visited);
      }
      expect(found.toSorted()).toEqual(all);
    });

    it('are complete although the keys of a slot move meanwhile to a master that they have visited already, and the slot has not', async () => {
      const { store } = await open();
      const [all, tags] = await pagesOnEachMaster(store);
      const found: string[] = [];
      let moving: Promise<void> | undefined;
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      for await (const key of store.scan()) {
        if (found.push(key) > 1) continue;
        const visited = await cluster.ownerOf(`${namespace}:${key}`);
        const [, tag] = [...tags].find(([master]) => master !== visited) ?? [];
        const slot = await cluster.slotOf(`${namespace}:${tag}`);
        await new Promise<void>((resolve) => {
          moving = cluster.moveSlot(slot, visited, () => {
            resolve();
            return finished;
          });
        });
      }
      finish();
      await moving;
      expect(found.toSorted()).toEqual(all);
    });

    it('fail rather than leave out a master that is gone, and are complete again after the failover', async () => {
      const { store } = await open();
      await store.putMany(keys.map((key) => [key, 1]));
      expect(await store.keys()).toEqual(keys);
      const [gone] = await cluster.masters();
      await Promise.all(cluster.nodes.map((node) => node.cli('WAIT', 1, 1000).catch(() => undefined)));
      await gone?.kill9();
      const incomplete: string[][] = [];
      await eventually(
        async () => {
          const walk = await store.keys();
          if (walk.length < keys.length) incomplete.push(walk);
          expect(walk).toEqual(keys);
        },
        { timeout: 10_000, interval: 1 },
      );
      expect(incomplete).toEqual([]);
    }, 30_000);
  });

  it('many keys at once may lie in any slots', async () => {
    const { store } = await open();
    const keys = Array.from({ length: 200 }, (_, i) => `{${i}}`);
    await store.putMany(keys.map((key, i) => [key, i]));
    expect(await store.getMany(keys)).toEqual(keys.map((_, i) => i));
    expect(await store.deleteMany(keys.slice(50))).toBe(150);
    expect(await store.keys()).toHaveLength(50);
  });

  it('many keys at once say unknown when a master is gone and the others have done their part', async () => {
    const { store } = await open();
    const keys = Array.from({ length: 200 }, (_, i) => `{${i}}`);
    await store.putMany(keys.map((key, i) => [key, i]));
    const [gone, ...others] = await cluster.masters();
    const left = async () => {
      const found = await Promise.all(others.map((node) => node.cli('KEYS', `${namespace}:*`)));
      return (found as string[][]).flat().length;
    };
    const before = await left();
    await gone?.kill9();
    const error = await reasonOf(store.deleteMany(keys));
    expect(await left()).toBeLessThan(before);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect(error).toMatchObject({ outcome: 'unknown' });
  });

  it('tags and scripts work, also after every server has forgotten the scripts', async () => {
    const { store } = await open();
    const keys = Array.from({ length: 50 }, (_, i) => `session ${i}`);
    for (const key of keys) await store.put(key, 0, { tags: ['user:42'] });
    await Promise.all((await cluster.masters()).map((master) => master.cli('SCRIPT', 'FLUSH')));
    for (const key of keys) expect(await store.update<number>(key, (n) => n + 1)).toBe(1);
    expect(await store.keys({ tag: 'user:42' })).toEqual(keys.toSorted());
    expect(await store.deleteByTag('user:42')).toBe(50);
    expect(await store.keys()).toEqual([]);
  });

  describe('promises 1, 3 and 4 hold when', () => {
    it('slots move to another master', async () => {
      const [one, two] = [await open(), await open()];
      const report = await endure('Cluster: resharding', [one, two], async () => {
        const [, to] = await cluster.masters();
        // Those of keys that are being written and read just then, and a few more.
        const slots = new Set(Array.from({ length: MOVED }, (_, i) => i));
        for (let n = 0; n < MOVED; n++) slots.add(await cluster.slotOf(`${namespace}:${n % 8}-${n}`));
        if (to) for (const slot of slots) await cluster.moveSlot(slot, to);
      });
      expectPromisesKept(report, TIMEOUT);
      expect(report.outcomes).toMatchObject({ 'not-sent': 0, unknown: 0, refused: 0 });
    }, 120_000);

    it('the operator changes a master (CLUSTER FAILOVER)', async () => {
      const report = await endure('Cluster: CLUSTER FAILOVER', [await open(), await open()], async () => {
        const [master] = await cluster.masters();
        if (master) await cluster.failover(master);
      });
      expectPromisesKept(report, TIMEOUT);
      expect(report.recovery).toBeLessThan(RECOVERY);
    }, 30_000);

    it('a master is frozen and replaced', async () => {
      const report = await endure('Cluster: master frozen (SIGSTOP)', [await open(), await open()], async () => {
        const [master] = await cluster.masters();
        const slot = await cluster.firstSlotOf(master);
        master?.freeze();
        await eventually(async () => expect(await cluster.ownerOfSlot(slot)).not.toBe(master), { timeout: 15_000 });
      });
      expectCallsSettled(report, TIMEOUT);
      expect(report.recovery).toBeLessThan(RECOVERY);
      expect(report.lost).toBeLessThan(report.outcomes.acknowledged / 4);
    }, 40_000);

    it('a master is killed and replaced', async () => {
      const report = await endure('Cluster: master killed (kill -9)', [await open(), await open()], async () => {
        const [master] = await cluster.masters();
        const slot = await cluster.firstSlotOf(master);
        await master?.kill9();
        await eventually(async () => expect(await cluster.ownerOfSlot(slot)).not.toBe(master), { timeout: 15_000 });
      });
      expectCallsSettled(report, TIMEOUT);
      expect(report.outcomes['not-sent']).toBeGreaterThan(0);
      expect(report.recovery).toBeLessThan(RECOVERY);
      expect(report.lost).toBeLessThan(report.outcomes.acknowledged / 4);
    }, 40_000);
  });

  it('an application that hears of a new master while it closes leaves no connection to it behind', async () => {
    const app = await open({ redis: { connectionName: 'closing' } });
    await sleep(400); // it has seen all masters ready by then, and asks who they are no more
    const former = await cluster.ownerOf(`${namespace}:key`);
    const heir = await cluster.failover(former);
    former.freeze();
    const reading = reasonOf(app.store.get('key'));
    await sleep(20);
    const closed = app.close();
    await sleep(20);
    former.thaw(); // it answers while the application closes
    await closed;
    expect(await reading).toMatchObject({ outcome: 'not-sent' });
    await sleep(100);
    expect(await heir.cli('CLIENT', 'LIST')).not.toContain('name=closing');
  });

  it('Promise 3: a write that no node took because its master is gone says that it was not sent', async () => {
    const { store } = await open();
    const master = await cluster.ownerOf(`${namespace}:key`);
    await store.put('key', 1);
    await master.kill9();
    await eventually(async () => expect(await reasonOf(store.get('key'))).toBeInstanceOf(CacheUnavailableError));
    // Other nodes have told where it belongs, which is no doubt about whether it was written.
    const reasons = await Promise.all(Array.from({ length: 5 }, () => reasonOf(store.put('key', 2))));
    for (const reason of reasons) expect(reason).toMatchObject({ reason: 'disconnected', outcome: 'not-sent' });
  }, 30_000);

  it('Promise 4: a rotated password is picked up by the connections to come, and those there are stay', async () => {
    const onAll = (...command: [string, ...string[]]) => Promise.all(cluster.nodes.map((node) => node.cli(...command)));
    await onAll('ACL', 'SETUSER', 'app', 'on', '>first', '~*', '&*', '+@all');
    let password = 'first';
    const { connection, store } = await open({
      url: cluster.url.replace(/\/\/.*@/, '//'),
      credentials: async () => ({ username: 'app', password }),
    });
    const statuses: string[] = [];
    connection.status$.subscribe((status) => statuses.push(status));
    const keys = Array.from({ length: 100 }, (_, i) => `{${i}}`);
    await store.putMany(keys.map((key) => [key, 1]));
    await onAll('ACL', 'SETUSER', 'app', 'resetpass', '>second');
    const [master, other] = await cluster.masters();
    await master?.cli('CLIENT', 'KILL', 'USER', 'app');
    // Known only now, as it often is.
    const shut = await Promise.all(keys.map((key) => reasonOf(store.get(key))));
    const refused = shut.filter((reason) => reason instanceof Error);
    expect(refused).not.toHaveLength(0);
    for (const reason of refused) expect(reason).toMatchObject({ reason: 'disconnected', outcome: 'not-sent' });
    password = 'second';
    const readAll = async () => expect(await store.getMany(keys)).toEqual(keys.map(() => 1));
    await eventually(readAll, { timeout: RECOVERY });
    if (other) await cluster.failover(other); // to a node that was never connected to
    await eventually(readAll, { timeout: RECOVERY });
    await eventually(() => expect(statuses).toEqual(['ready', 'degraded', 'ready']));
  }, 30_000);

  it('a node that takes no more connections is an outage', async () => {
    const { store } = await open();
    const master = await cluster.ownerOf(`${namespace}:key`);
    await store.put('key', 1);
    await master.cli('CONFIG', 'SET', 'maxclients', '1');
    await master.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const reasons: unknown[] = [];
    for (let i = 0; i < 20; i++) reasons.push(await reasonOf(store.get('key')), await reasonOf(store.put('key', 2)));
    await master.cli('CONFIG', 'SET', 'maxclients', '1000');
    const failures = reasons.filter((reason) => reason instanceof Error);
    expect(failures).not.toHaveLength(0);
    for (const failure of failures) expect(failure).toBeInstanceOf(CacheUnavailableError);
    await eventually(() => store.put('key', 3), { timeout: RECOVERY });
  });

  it('an outage of all nodes is noticed though nobody calls, and recovered from', async () => {
    const [first] = await cluster.masters();
    const url = cluster.url.replace(/127.*/, `127.0.0.1:${first?.port}`);
    // Replicas are told of once they have got something, and then never connected to.
    const { store: writer } = await open();
    await writer.putMany(Array.from({ length: 100 }, (_, i) => [`{${i}}`, i]));
    await eventually(async () => {
      for (const node of cluster.nodes) {
        for (const range of (await node.cli('CLUSTER', 'SLOTS')) as unknown[][]) expect(range).toHaveLength(4);
      }
    });
    const { connection, store } = await open({ url });
    await sleep(1500); // the application has learnt of them, too
    await Promise.all(cluster.nodes.map((node) => node.kill9()));
    await eventually(() => expect(connection.status).toBe('down'), { timeout: 10_000 });
    await cluster.heal();
    await eventually(() => expect(connection.status).toBe('ready'), { timeout: 10_000 });
    await store.put('key', 2);
    expect(await store.get('key')).toBe(2);
  }, 60_000);
});
