import * as fc from 'fast-check';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { ClusterDeployment } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { NAMESPACE, TRAVEL } from '../support/near-stage.js';
import { KEYS, type Reader, Step, waits, World, writes } from '../support/near-world.js';
import type { RedisServer } from '../support/redis-server.js';

const LEASE = 600;
/** Between the look at the clock that we take and the one that the near cache takes. */
const MEASURING = 50;

/** An instance that does not know what becomes of the servers. */
class Instance implements Reader {
  private unsettledUntil = -Infinity;

  constructor(readonly app: CacheApp) {}

  get store(): RedisCacheStore {
    return this.app.store;
  }

  get slack(): number {
    return performance.now() < this.unsettledUntil ? LEASE + MEASURING : TRAVEL;
  }

  /** While `action` happens, and until everybody has learnt of it, the lease is what there is. */
  async during(action: () => Promise<unknown>): Promise<void> {
    this.unsettledUntil = Infinity;
    await action();
    this.unsettledUntil = performance.now() + LEASE + TRAVEL;
  }

  async heal(): Promise<void> {}
}

class ClusterWorld extends World<Instance> {
  constructor(
    readonly cluster: ClusterDeployment,
    instances: readonly Instance[],
    run: number,
  ) {
    super(instances, run);
  }

  redisKey(key: number): string {
    return `${NAMESPACE}:${this.key(key)}`;
  }

  /** All instances learn of what happens to the servers. */
  async unsettle(action: () => Promise<unknown>): Promise<void> {
    const all = this.instances.reduce<() => Promise<unknown>>((run, instance) => () => instance.during(run), action);
    await all();
  }

  kill(type: string): Promise<unknown> {
    return Promise.all(this.cluster.nodes.map((node) => node.cli('CLIENT', 'KILL', 'TYPE', type)));
  }
}

const onKey = (name: string, act: (world: ClusterWorld, key: string) => Promise<unknown>) =>
  fc.constantFrom(...KEYS).map((key) => {
    return new Step<ClusterWorld>(`${name} of key ${key}`, (world) =>
      world.unsettle(() => act(world, world.redisKey(key))),
    );
  });

const faults = fc.oneof(
  fc.constant(new Step<ClusterWorld>('kill all feeds', (world) => world.kill('pubsub'))),
  onKey('reshard the slot', async ({ cluster }, key) => {
    const from = await cluster.ownerOf(key);
    const to = (await cluster.masters()).find((master) => master !== from) as RedisServer;
    await cluster.moveSlot(await cluster.slotOf(key), to);
  }),
  onKey('fail over the master', async ({ cluster }, key) => {
    await cluster.failover(await cluster.ownerOf(key));
    await cluster.settled();
  }),
);

describe('two processes with near caches on a Cluster', () => {
  let cluster: ClusterDeployment;
  let instances: Instance[];

  beforeAll(async () => {
    cluster = await ClusterDeployment.start();
    const open = () => CacheApp.start({ url: cluster.url, namespace: NAMESPACE, nearCache: { lease: LEASE } });
    instances = [new Instance(await open()), new Instance(await open())];
  }, 40_000);
  afterAll(async () => {
    await Promise.all((instances ?? []).map(({ app }) => app.close()));
    await cluster?.stop();
  }, 20_000);

  it('no read gives a value older than the rules allow, whatever is written by whom, killed, resharded and failed over', async () => {
    const steps = [...Array.from({ length: 4 }, () => fc.oneof(...writes)), faults, waits(LEASE)];
    let [run, reads] = [0, 0];
    const until = performance.now() + 20_000;
    const property = fc.asyncProperty(fc.commands(steps, { maxCommands: 20, size: 'max' }), async (all) => {
      if (performance.now() > until) return;
      const world = new ClusterWorld(cluster, instances, ++run);
      try {
        await fc.asyncModelRun(() => ({ model: {}, real: world }), all);
      } finally {
        await world.end();
      }
      expect(world.complaints).toEqual([]);
      reads += world.reads;
    });
    await fc.assert(property, { numRuns: 300, endOnFailure: true });
    expect(run).toBeGreaterThan(2);
    expect(reads).toBeGreaterThan(1000);
    for (const { store } of instances) await eventually(() => store.put('last', 1), { timeout: 10_000 });
  }, 60_000);
});
