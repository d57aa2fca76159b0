import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { CacheUnavailableError } from 'nestjs-redis-cache-store';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { TRAVEL } from './near-stage.js';
import { ReadHistory } from './read-history.js';

export const PROCESSES = [0, 1];
export const KEYS = [0, 1, 2];

/** An instance of an application that keeps local copies. */
export interface Reader {
  readonly store: RedisCacheStore;
  /** How old an answer may be to who asks now, in ms. */
  readonly slack: number;
  /** Whatever was broken works again. */
  heal(): Promise<unknown>;
}

/** All that a run acts on. In the background every instance reads every key, all the time. */
export class World<Instance extends Reader = Reader> {
  readonly histories = KEYS.map(() => new ReadHistory());
  readonly complaints: string[] = [];
  reads = 0;
  private value = 0;
  private ended = false;
  private readonly readers: Promise<unknown>;

  constructor(
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
    await sleep(TRAVEL + 50); // what is wrong in the end would stay so
    this.ended = true;
    await this.readers;
  }

  /** A fault may leave a read without an answer: that is an outage, and nothing old. */
  private async answer(instance: Reader, key: number): Promise<number | undefined | 'none'> {
    try {
      return await instance.store.get<number>(this.key(key));
    } catch (error) {
      if (!(error instanceof CacheUnavailableError)) throw error;
      await sleep(1);
      return 'none';
    }
  }

  private async read(instance: Instance, key: number): Promise<void> {
    while (!this.ended) {
      const [begun, slack] = [performance.now(), instance.slack];
      const value = await this.answer(instance, key);
      if (value === 'none') continue;
      const read = { by: instance, begun, ended: performance.now(), value, slack };
      const complaint = this.histories[key]?.complaint(read);
      if (complaint !== undefined) this.complaints.push(complaint);
      this.reads++;
      await (this.reads % 5 ? setImmediate() : sleep(1));
    }
  }
}

/** What happens; shown as what it is should a run fail. */
export class Step<W extends World = World> implements fc.AsyncCommand<object, W> {
  constructor(
    private readonly name: string,
    private readonly act: (world: W) => Promise<unknown>,
  ) {}

  check(): boolean {
    return true;
  }

  async run(_: object, world: W): Promise<void> {
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

/** Writes of instances. */
export const writes = [
  write('put', (store, key, value) => store.put(key, value)),
  write('put for 150 ms', (store, key, value) => store.put(key, value, { ttl: 150 }), { ttl: 150 }),
  write('update', (store, key, value) => found(store.update(key, () => value)), { ttl: 'keep' }),
  write('delete', (store, key) => store.delete(key), { deletes: true }),
  write('take', (store, key) => store.take(key), { deletes: true }),
];

/** @param lease - in ms */
export const waits = (lease: number): fc.Arbitrary<Step> =>
  fc.constantFrom(1, 20, TRAVEL + 50, lease + 100).map((ms) => new Step(`wait ${ms} ms`, () => sleep(ms)));
