import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheNearMessage, RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Subscription } from 'rxjs';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { commandsDuring } from '../support/command-stats.js';
import { eventually } from '../support/eventually.js';
import { TRAVEL } from '../support/near-stage.js';
import { Pulse } from '../support/pulse.js';
import type { RedisServer } from '../support/redis-server.js';

/** Longer than a failover takes, so that an old value may be seen for a while. */
const LEASE = 3000;
const NAMESPACE = 'near';
const options = { namespace: NAMESPACE, nearCache: { lease: LEASE }, timeout: 1000 };
const WITHIN = { timeout: 15_000 };

describe('the near cache on a Cluster', () => {
  let cluster: ClusterDeployment;
  let apps: CacheApp[];
  let store: RedisCacheStore;
  let writer: RedisCacheStore;
  let watching: Subscription | undefined;

  beforeAll(async () => (cluster = await ClusterDeployment.start()), 40_000);
  beforeEach(async () => {
    apps = [
      await CacheApp.start({ url: cluster.url, ...options }),
      await CacheApp.start({ url: cluster.url, ...options, nearCache: false }),
    ];
    [store, writer] = apps.map((app) => app.store) as [RedisCacheStore, RedisCacheStore];
    await writer.put('key', 'old');
  });
  afterEach(async () => {
    watching?.unsubscribe();
    await Promise.all(apps.map((app) => app.close()));
    for (const node of cluster.nodes) {
      node.thaw();
      await node.cli('PING').catch(() => node.restart());
    }
    await cluster.settled();
  }, 40_000);
  afterAll(() => cluster?.stop(), 20_000);

  async function readsDuring(action: () => Promise<unknown>): Promise<number> {
    let [reads, run] = [0, action];
    for (const node of await cluster.masters()) {
      const inner = run;
      run = async () => {
        const { get = 0, getrange = 0 } = await commandsDuring(node, inner);
        reads += get + getrange;
      };
    }
    await run();
    return reads;
  }

  const warm = (...keys: string[]) =>
    eventually(async () => {
      for (const key of keys) await store.get(key);
      expect(await readsDuring(() => Promise.all(keys.map((key) => store.get(key))))).toBe(0);
    }, WITHIN);

  /** It keeps copies, and hears of changes. */
  async function expectCoherent(...keys: string[]): Promise<void> {
    for (const value of ['one', 'two']) {
      for (const key of keys) await eventually(() => writer.put(key, value), WITHIN);
      for (const key of keys) {
        await eventually(async () => expect(await store.get(key)).toBe(value), { timeout: TRAVEL });
      }
      await warm(...keys);
    }
  }

  /**
   * While `fail` happens the writer counts up; how old, in ms, the oldest answer of the store was, less the time that any
   * message takes meanwhile on this machine.
   */
  async function oldestDuring(fail: () => Promise<unknown>, pulse?: Pulse): Promise<number> {
    const acknowledged = [performance.now()]; // when each count was
    await writer.put('key', 0);
    await eventually(async () => expect(await store.get('key')).toBe(0));
    await warm('key');
    let oldest = 0;
    const ended = new AbortController();
    const counting = (async () => {
      for (; !ended.signal.aborted; await sleep(20)) {
        const done = writer.put('key', acknowledged.length).then(() => acknowledged.push(performance.now()));
        await done.catch(() => 0);
      }
    })();
    const looking = (async () => {
      for (; !ended.signal.aborted; await sleep(2)) {
        const begun = performance.now();
        const value = await store.get<number>('key').catch(() => undefined);
        const lag = pulse?.lag ?? 0;
        if (value !== undefined) oldest = Math.max(oldest, begun - (acknowledged[value + 1] ?? Infinity) - lag);
      }
    })();
    await fail();
    const before = acknowledged.length;
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(before + 20), WITHIN);
    ended.abort();
    await Promise.all([counting, looking]);
    return oldest;
  }

  /** What is told of the record from now on, and a check that nothing is missed for longer than the lease. */
  function watchKey(): { expectTold: () => Promise<void> } {
    const told: string[] = [];
    watching = store.watch('key').subscribe((change) => told.push(change));
    const expectChange = async (change: string, act: () => Promise<unknown>) => {
      told.length = 0;
      await act();
      await eventually(() => expect(told).toContain(change), { timeout: LEASE + TRAVEL });
    };
    const expectTold = async () => {
      await expectChange('changed', () => writer.put('key', 'new'));
      await expectChange('gone', () => writer.delete('key'));
    };
    return { expectTold };
  }

  const ownerOf = (key: string) => cluster.ownerOf(`${NAMESPACE}:${key}`);

  it('keeps copies of what is on each of its masters, and hears of all changes', async () => {
    await expectCoherent(...Array.from({ length: 12 }, (_, i) => `key ${i}`));
  });

  it('opens one feed beside the link to each master, and closes them', async () => {
    await warm('key');
    const feeds = async () => {
      const lists = await Promise.all(cluster.nodes.map((node) => node.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')));
      return lists.filter((list) => String(list).includes('sub=1')).length;
    };
    await eventually(async () => expect(await feeds()).toBe(3));
    await apps[0]?.close();
    await eventually(async () => expect(await feeds()).toBe(0));
  });

  it('follows a failover by hand', async () => {
    const oldest = await oldestDuring(async () => cluster.failover(await ownerOf('key')));
    expect(oldest).toBeLessThanOrEqual(LEASE);
    await expectCoherent('key');
  });

  it.each<[how: string, fail: (master: RedisServer) => unknown]>([
    ['dies', (master) => master.kill9()],
    ['is frozen', (master) => master.freeze()],
  ])(
    'follows to the replica of a master that %s, and is never older than the lease, nor is a watch',
    async (_, fail) => {
      const watched = watchKey();
      const oldest = await oldestDuring(async () => {
        const old = await ownerOf('key');
        const successor = await cluster.replicaOf(old);
        await fail(old);
        await eventually(async () => expect(await successor.cli('ROLE')).toContain('master'), WITHIN);
      });
      expect(oldest).toBeLessThanOrEqual(LEASE + TRAVEL);
      await expectCoherent('key');
      await watched.expectTold();
    },
  );

  it('follows a slot that is moved to another master, with its keys, as does a watch', async () => {
    const watched = watchKey();
    const from = await ownerOf('key');
    const to = (await cluster.masters()).find((master) => master !== from) as RedisServer;
    const slot = await cluster.slotOf(`${NAMESPACE}:key`);
    const pulse = new Pulse(cluster.nodes);
    try {
      expect(await oldestDuring(() => cluster.moveSlot(slot, to), pulse)).toBeLessThanOrEqual(TRAVEL);
    } finally {
      await pulse.stop();
    }
    await expectCoherent('key');
    await watched.expectTold();
    await cluster.moveSlot(slot, from);
    await expectCoherent('key');
    await watched.expectTold();
  });

  it('keeps no copy of a record while its slot is being moved, since nobody would tell of its changes', async () => {
    const from = await ownerOf('key');
    const to = (await cluster.masters()).find((master) => master !== from) as RedisServer;
    await warm('key');
    await cluster.moveSlot(await cluster.slotOf(`${NAMESPACE}:key`), to, async () => {
      for (let i = 0; i < 5; i++) {
        await writer.put('key', i);
        expect(await store.get('key')).toBe(i);
      }
    });
    await expectCoherent('key');
  });

  it('tells once that the feeds of some masters are down, and that all are up once the last of these masters was replaced', async () => {
    const told: string[] = [];
    const listener = (message: unknown) => {
      const { event } = message as CacheNearMessage;
      if (event === 'feed-up' || event === 'feed-down') told.push(event);
    };
    const keys = Array.from({ length: 12 }, (_, i) => `key ${i}`);
    for (const key of keys) await writer.put(key, 1);
    const reading = (events: string[]) =>
      eventually(async () => [await store.getMany(keys), expect(told).toEqual(events)], WITHIN);
    const forbid = async (master: RedisServer) => {
      await master.cli('ACL', 'SETUSER', 'default', '-subscribe');
      await master.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
    };
    const allow = (master: RedisServer) => master.cli('ACL', 'SETUSER', 'default', '+subscribe');
    const hasFeed = async (master: RedisServer) =>
      expect(await master.cli('CLIENT', 'LIST', 'TYPE', 'pubsub')).toContain('sub=1');
    const [one, other] = (await cluster.masters()) as [RedisServer, RedisServer];
    subscribe('nestjs-redis-cache-store:near-cache', listener);
    try {
      await reading(['feed-up']);
      await forbid(one);
      await forbid(other);
      await reading(['feed-up', 'feed-down']);
      await allow(one);
      await eventually(() => hasFeed(one), WITHIN);
      await sleep(LEASE / 2); // its proofs come in meanwhile
      await reading(['feed-up', 'feed-down']);
      await cluster.failover(other);
      await reading(['feed-up', 'feed-down', 'feed-up']);
    } finally {
      unsubscribe('nestjs-redis-cache-store:near-cache', listener);
      await allow(one);
      await allow(other);
    }
  }, 60_000);

  it('survives that all its connections are killed again and again', async () => {
    for (let i = 0; i < 4; i++) {
      await expectCoherent('a', 'b', 'c');
      await Promise.all(cluster.nodes.map((node) => node.cli('CLIENT', 'KILL', 'TYPE', i % 2 ? 'normal' : 'pubsub')));
    }
    await expectCoherent('a', 'b', 'c');
  });
});
