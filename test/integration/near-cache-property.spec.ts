import * as fc from 'fast-check';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { DATA, FEED, NAMESPACE, TRAVEL } from '../support/near-stage.js';
import { TcpProxy } from '../support/proxy.js';
import { KEYS, PROCESSES, Step, waits, World, writes } from '../support/near-world.js';
import { RedisServer } from '../support/redis-server.js';

const LEASE = 400;
/** Between the look at the clock that we take and the one that the near cache takes. */
const MEASURING = 50;
/** Replies take longer than invalidations, which so overtake them. */
const REPLY_DELAY = 3;

/** One of two instances of an application, whose feed can be broken. */
class Instance {
  static async start(server: RedisServer): Promise<Instance> {
    const proxy = await TcpProxy.start(server);
    const app = await CacheApp.start({ url: proxy.url, namespace: NAMESPACE, nearCache: { lease: LEASE } });
    const instance = new Instance(proxy, app);
    await instance.heal();
    return instance;
  }

  /** The feed tells nothing in time until then. */
  private stalledUntil = -Infinity;

  private constructor(
    private readonly proxy: TcpProxy,
    private readonly app: CacheApp,
  ) {}

  get store(): RedisCacheStore {
    return this.app.store;
  }

  stall(): void {
    this.proxy.stall(FEED);
    this.stalledUntil = Infinity;
  }

  async heal(): Promise<void> {
    await this.proxy.resume();
    this.proxy.delay(REPLY_DELAY, DATA);
    if (this.stalledUntil === Infinity) this.stalledUntil = performance.now() + TRAVEL;
  }

  /** How old an answer may be to who asks now. */
  get slack(): number {
    return performance.now() < this.stalledUntil ? LEASE + MEASURING : TRAVEL;
  }

  /** Waits until answers come from this process again. */
  async warm(): Promise<void> {
    await this.store.put('warm', 1);
    await eventually(
      async () => {
        const begun = performance.now();
        await this.store.get('warm');
        expect(performance.now() - begun).toBeLessThan(2 * REPLY_DELAY); // which is what a reply takes at least
      },
      { timeout: 10_000 },
    );
  }

  async close(): Promise<void> {
    await this.heal();
    await this.app.close();
    await this.proxy.stop();
  }
}

class ServerWorld extends World<Instance> {
  constructor(
    readonly server: RedisServer,
    instances: readonly Instance[],
    run: number,
  ) {
    super(instances, run);
  }
}

const outside = fc.constantFrom(...KEYS).map(
  (key) =>
    new Step<ServerWorld>(`raw overwrite of key ${key}`, async (world) => {
      const value = world.nextValue();
      await world.instance(0).store.put('staged', value);
      const [source, target] = [`${NAMESPACE}:staged`, `${NAMESPACE}:${world.key(key)}`];
      const copy = () => world.server.cli('COPY', source, target, 'REPLACE');
      await world.histories[key]?.write('outside', value, copy);
    }),
);

const flush = fc.constant(
  new Step<ServerWorld>('FLUSHALL', async ({ server, histories }) => {
    let flushed: Promise<unknown> | undefined;
    const once = () => (flushed ??= server.cli('FLUSHALL'));
    await Promise.all(histories.map((history) => history.write('outside', undefined, once)));
  }),
);

const faults = fc.oneof(
  fc.constant(new Step<ServerWorld>('kill all feeds', ({ server }) => server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'))),
  ...PROCESSES.map((process) =>
    fc.constant(
      new Step<ServerWorld>(`stall the feed of ${process}`, async (world) => world.instance(process).stall()),
    ),
  ),
  fc.constant(
    new Step<ServerWorld>('heal', ({ instances }) => Promise.all(instances.map((instance) => instance.heal()))),
  ),
);

describe('two processes with near caches', () => {
  let server: RedisServer;
  let instances: Instance[];

  beforeAll(async () => {
    server = await RedisServer.start();
    instances = await Promise.all(PROCESSES.map(() => Instance.start(server)));
  });
  afterAll(async () => {
    await Promise.all((instances ?? []).map((instance) => instance.close()));
    await server?.stop();
  });

  it('no read gives a value older than the rules allow, whatever is written by whom and however feeds break', async () => {
    const steps = [fc.oneof(...writes), fc.oneof(...writes), outside, faults, waits(LEASE)];
    let [run, reads] = [0, 0];
    const until = performance.now() + 14_000;
    const property = fc.asyncProperty(fc.commands([...steps, flush], { maxCommands: 25, size: 'max' }), async (all) => {
      if (performance.now() > until) return;
      await server.cli('FLUSHALL');
      for (const instance of instances) await instance.warm();
      const world = new ServerWorld(server, instances, ++run);
      try {
        await fc.asyncModelRun(() => ({ model: {}, real: world }), all);
      } finally {
        await world.end();
      }
      expect(world.complaints).toEqual([]);
      reads += world.reads;
    });
    await fc.assert(property, { numRuns: 300, endOnFailure: true });
    expect(run).toBeGreaterThan(3);
    expect(reads).toBeGreaterThan(1000);
    for (const instance of instances) await instance.warm(); // the feeds are back after all that
  });
});
