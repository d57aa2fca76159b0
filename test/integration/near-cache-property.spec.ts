import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { DATA, FEED, NAMESPACE, TRAVEL } from '../support/near-stage.js';
import { TcpProxy } from '../support/proxy.js';
import { ReadHistory } from '../support/read-history.js';
import { RedisServer } from '../support/redis-server.js';

const LEASE = 400;
/** Between the look at the clock that we take and the one that the near cache takes. */
const MEASURING = 50;
/** Replies take longer than invalidations, which so overtake them. */
const REPLY_DELAY = 3;
const PROCESSES = [0, 1];
const KEYS = [0, 1, 2];

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

/** All that a run acts on. In the background every instance reads every key, all the time. */
class World {
  readonly histories = KEYS.map(() => new ReadHistory());
  readonly complaints: string[] = [];
  reads = 0;
  private value = 0;
  private ended = false;
  private readonly readers: Promise<unknown>;

  constructor(
    readonly server: RedisServer,
    readonly instances: readonly Instance[],
    private readonly run: number,
  ) {
    this.readers = Promise.all(instances.flatMap((instance) => KEYS.map((key) => this.read(instance, key))));
  }

  instance(process: number): Instance {
    const instance = this.instances[process];
    if (!instance) throw new Error(`there is no process ${process}`);
    return instance;
  }

  key(key: number): string {
    return `${this.run}/${key}`;
  }

  nextValue(): number {
    return ++this.value;
  }

  async end(): Promise<void> {
    for (const instance of this.instances) await instance.heal();
    await sleep(TRAVEL + 2 * REPLY_DELAY); // what is wrong in the end would stay so
    this.ended = true;
    await this.readers;
  }

  private async read(instance: Instance, key: number): Promise<void> {
    while (!this.ended) {
      const [begun, slack] = [performance.now(), instance.slack];
      const value = await instance.store.get<number>(this.key(key));
      const read = { by: instance, begun, ended: performance.now(), value, slack };
      const complaint = this.histories[key]?.complaint(read);
      if (complaint !== undefined) this.complaints.push(complaint);
      this.reads++;
      await (this.reads % 5 ? setImmediate() : sleep(1));
    }
  }
}

/** What happens; shown as what it is should a run fail. */
class Step implements fc.AsyncCommand<object, World> {
  constructor(
    private readonly name: string,
    private readonly act: (world: World) => Promise<unknown>,
  ) {}

  check(): boolean {
    return true;
  }

  async run(_: object, world: World): Promise<void> {
    await this.act(world);
    expect(world.complaints).toEqual([]);
  }

  toString(): string {
    return this.name;
  }
}

type Write = (store: RedisCacheStore, key: string, value: number) => Promise<unknown>;

/** A write of an instance under a key. `found: false` is no write: there was nothing to be changed. */
function write(name: string, act: Write, options: { deletes?: true; ttl?: number | 'keep' } = {}): fc.Arbitrary<Step> {
  return fc.tuple(fc.constantFrom(...PROCESSES), fc.constantFrom(...KEYS)).map(([process, key]) => {
    return new Step(`${name}(process ${process}, key ${key})`, async (world) => {
      const instance = world.instance(process);
      const value = world.nextValue();
      const action = () => act(instance.store, world.key(key), value);
      await world.histories[key]?.write(instance, options.deletes ? undefined : value, action, options.ttl);
    });
  });
}

const found = async (outcome: Promise<unknown>) => (await outcome) !== undefined;

const writes = [
  write('put', (store, key, value) => store.put(key, value)),
  write('put for 150 ms', (store, key, value) => store.put(key, value, { ttl: 150 }), { ttl: 150 }),
  write('update', (store, key, value) => found(store.update(key, () => value)), { ttl: 'keep' }),
  write('delete', (store, key) => store.delete(key), { deletes: true }),
  write('take', (store, key) => store.take(key), { deletes: true }),
];

const outside = fc.constantFrom(...KEYS).map(
  (key) =>
    new Step(`raw overwrite of key ${key}`, async (world) => {
      const value = world.nextValue();
      await world.instance(0).store.put('staged', value);
      const [source, target] = [`${NAMESPACE}:staged`, `${NAMESPACE}:${world.key(key)}`];
      const copy = () => world.server.cli('COPY', source, target, 'REPLACE');
      await world.histories[key]?.write('outside', value, copy);
    }),
);

const flush = fc.constant(
  new Step('FLUSHALL', async ({ server, histories }) => {
    let flushed: Promise<unknown> | undefined;
    const once = () => (flushed ??= server.cli('FLUSHALL'));
    await Promise.all(histories.map((history) => history.write('outside', undefined, once)));
  }),
);

const faults = fc.oneof(
  fc.constant(new Step('kill all feeds', ({ server }) => server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'))),
  ...PROCESSES.map((process) =>
    fc.constant(new Step(`stall the feed of ${process}`, async (world) => world.instance(process).stall())),
  ),
  fc.constant(new Step('heal', ({ instances }) => Promise.all(instances.map((instance) => instance.heal())))),
);

const waits = fc.constantFrom(1, 20, TRAVEL + 50, LEASE + 100).map((ms) => new Step(`wait ${ms} ms`, () => sleep(ms)));

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
    const steps = [fc.oneof(...writes), fc.oneof(...writes), outside, faults, waits];
    let [run, reads] = [0, 0];
    const until = performance.now() + 14_000;
    const property = fc.asyncProperty(fc.commands([...steps, flush], { maxCommands: 25, size: 'max' }), async (all) => {
      if (performance.now() > until) return;
      await server.cli('FLUSHALL');
      for (const instance of instances) await instance.warm();
      const world = new World(server, instances, ++run);
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
