import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { isOutage, type NearFleet } from './near-fleet.js';
import { TRAVEL } from './near-stage.js';
import { ReadHistory } from './read-history.js';

export const KEYS = [0, 1];
/** Between two reads of a key by an instance: of a copy, and of what nobody keeps since it is absent. In ms. */
const BETWEEN = 5;
const BETWEEN_ABSENT = 15;

/** What happens; shown as what it is should a run fail. */
export class Step<Stage> {
  constructor(
    readonly name: string,
    readonly act: (stage: Stage) => Promise<unknown>,
  ) {}

  toString(): string {
    return this.name;
  }
}

/** Records of one history. In the background every instance that keeps copies reads each of them, all the time. */
export class World {
  readonly histories = KEYS.map(() => new ReadHistory());
  readonly complaints: string[] = [];
  reads = 0;
  private value = 0;
  private ended = false;
  private readonly readers: Promise<unknown>;

  constructor(
    readonly fleet: NearFleet,
    private readonly run: number,
  ) {
    this.readers = Promise.all(fleet.instances.flatMap((_, process) => KEYS.map((key) => this.read(process, key))));
  }

  /** Of each key another slot, and the same one for what is named after it. */
  key(key: number): string {
    return `{${this.run}/${key}}`;
  }

  nextValue(): number {
    return ++this.value;
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.readers;
  }

  private async read(process: number, key: number): Promise<void> {
    const instance = this.fleet.instances[process];
    if (!instance) return;
    while (!this.ended) {
      const [begun, slack] = [performance.now(), this.fleet.slackOf(instance)];
      try {
        const value = await instance.store.get<number>(this.key(key));
        const read = { by: instance, begun, ended: performance.now(), value, slack, drift: this.fleet.drift };
        const complaint = this.histories[key]?.complaint(read);
        if (complaint !== undefined) this.complaints.push(`key ${key}, process ${process}: ${complaint}`);
        this.reads++;
        await sleep(value === undefined ? BETWEEN_ABSENT : BETWEEN);
      } catch (error) {
        // A fault may leave a read without an answer: that is an outage, and nothing old.
        if (!isOutage(error)) throw error;
        await sleep(BETWEEN_ABSENT);
      }
    }
  }
}

type Write = (store: RedisCacheStore, key: string, value: number) => Promise<unknown>;

/** A write by one of the instances, or by one that keeps no copies. `found: false` is no write: there was nothing to be changed. */
function write(name: string, act: Write, options: { deletes?: true; ttl?: number | 'keep' } = {}) {
  return fc.tuple(fc.constantFrom(0, 1, 2), fc.constantFrom(...KEYS)).map(([process, key]) => {
    return new Step<World>(`${name}(process ${process}, key ${key})`, async (world) => {
      const { fleet } = world;
      const writer = fleet.instances[process] ?? fleet.outsider;
      await fleet.pass(async () => {
        const value = world.nextValue();
        const action = () => act(writer.store, world.key(key), value);
        await world.histories[key]?.write(writer, options.deletes ? undefined : value, action, options.ttl);
      });
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
const waits = fc.constantFrom(1, 20, 100, TRAVEL + 50).map((ms) => new Step<World>(`wait ${ms} ms`, () => sleep(ms)));

/** Ends with a wait, since it may be repeated. */
const history = fc
  .tuple(
    fc.array(fc.oneof({ arbitrary: fc.oneof(...writes), weight: 2 }, waits), { minLength: 2, maxLength: 8 }),
    waits,
  )
  .map(([steps, last]) => [...steps, last]);

/** Histories that run at the same time, each on records of its own, and what happens to servers and connections meanwhile. */
export interface Batch {
  readonly histories: readonly (readonly Step<World>[])[];
  readonly faults: readonly Step<NearFleet>[];
}

export const batchesOf = <Fleet extends NearFleet>(count: number, faults: fc.Arbitrary<Step<Fleet>>) =>
  fc.record({
    histories: fc.array(history, { minLength: count, maxLength: count }),
    faults: fc.array(faults, { minLength: 2, maxLength: 2 }),
  });

let runs = 0;

/** Runs histories over and over until all faults are over. @throws if one of their reads gave what it may not give */
export async function runBatch<Fleet extends NearFleet>(
  fleet: Fleet,
  { histories, faults }: { histories: readonly (readonly Step<World>[])[]; faults: readonly Step<Fleet>[] },
): Promise<number> {
  const worlds = histories.map(() => new World(fleet, ++runs));
  fleet.worlds = worlds;
  const over = new AbortController();
  const weather = async () => {
    for (const fault of faults) {
      await sleep(100);
      await fault.act(fleet);
    }
    await fleet.heal();
  };
  const run = async (world: World, steps: readonly Step<World>[]) => {
    do for (const step of steps) await step.act(world);
    while (!over.signal.aborted);
  };
  try {
    const faulty = weather().finally(() => over.abort());
    await Promise.all([faulty, ...worlds.map((world, i) => run(world, histories[i] ?? []))]);
    await fleet.settled(); // what is wrong in the end would stay so
  } finally {
    await Promise.all(worlds.map((world) => world.end()));
  }
  for (const [i, { complaints }] of worlds.entries()) {
    const told = { complaints: complaints.slice(0, 5), steps: histories[i]?.map(String), faults: faults.map(String) };
    expect(told).toEqual({ ...told, complaints: [] });
  }
  return worlds.reduce((sum, { reads }) => sum + reads, 0);
}
