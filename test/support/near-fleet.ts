import { setTimeout as sleep } from 'node:timers/promises';
import { CacheCommandError, CacheUnavailableError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from './cache-app.js';
import { eventually } from './eventually.js';
import { DATA, FEED, NAMESPACE, TRAVEL } from './near-stage.js';
import type { World } from './near-world.js';
import { TcpProxy } from './proxy.js';
import { Pulse } from './pulse.js';
import type { RedisServer } from './redis-server.js';

export const LEASE = 400;
/** Between the look at the clock that a test takes and the one that the near cache takes. */
const MEASURING = 50;
/** Replies take longer than invalidations, which so overtake them. */
const REPLY_DELAY = 3;
const TIMEOUT = 500;

const OUTAGES = ['CLUSTERDOWN', 'LOADING', 'MASTERDOWN', 'READONLY', 'TRYAGAIN'];

/** Whether Redis could not be asked, or has refused for the time being. */
export function isOutage(error: unknown): error is CacheUnavailableError | CacheCommandError {
  return (
    error instanceof CacheUnavailableError || (error instanceof CacheCommandError && OUTAGES.includes(error.reply))
  );
}

/** An instance of an application that keeps local copies, behind proxies, one for each server. */
export class NearInstance {
  /** Until then it may not know of what has been done to connections or servers. */
  unsettledUntil = -Infinity;

  constructor(
    readonly app: CacheApp,
    readonly proxies: readonly TcpProxy[],
  ) {}

  get store(): RedisCacheStore {
    return this.app.store;
  }

  get isSettled(): boolean {
    return performance.now() >= this.unsettledUntil;
  }

  /** While `action` happens, and until the instance has learnt of it, the lease is what there is. */
  async during(action: () => Promise<unknown>): Promise<void> {
    this.unsettledUntil = Infinity;
    await action();
    this.unsettledUntil = performance.now() + LEASE + TRAVEL;
  }

  async heal(): Promise<void> {
    for (const proxy of this.proxies) {
      await proxy.resume();
      proxy.delay(REPLY_DELAY, DATA);
    }
  }

  /** Waits until answers come from this process again. */
  async warm(): Promise<void> {
    await eventually(() => this.store.put('warm', 1), { timeout: 10_000 });
    await eventually(
      async () => {
        const begun = performance.now();
        await this.store.get('warm');
        expect(performance.now() - begun).toBeLessThan(REPLY_DELAY); // which is what a reply takes at least
      },
      { timeout: 10_000 },
    );
  }
}

/** Two instances that keep copies, one that does not, and the servers that all of them use. */
export class NearFleet {
  /** What is going on now. */
  worlds: readonly World[] = [];
  /** How much later than it should a record may expire. */
  drift = 0;
  instances: readonly NearInstance[] = [];
  outsider!: CacheApp;
  private readonly pulse: Pulse;
  private readonly underWay = new Set<Promise<unknown>>();
  private stillness: Promise<unknown> | undefined;

  protected constructor(private readonly servers: readonly RedisServer[]) {
    this.pulse = new Pulse(servers);
  }

  /** How old an answer may be to who asks now. */
  slackOf(instance: NearInstance): number {
    return instance.isSettled ? TRAVEL + 2 * this.pulse.lag : LEASE + MEASURING;
  }

  /** Does something while nothing else is done that needs stillness. */
  async pass(action: () => Promise<unknown>): Promise<void> {
    while (this.stillness) await this.stillness;
    const done = action();
    this.underWay.add(done);
    await done.finally(() => this.underWay.delete(done));
  }

  /** Does something while no write is on its way. */
  async still(action: () => Promise<unknown>): Promise<void> {
    this.stillness = Promise.allSettled(this.underWay).then(action);
    await this.stillness.finally(() => (this.stillness = undefined));
  }

  /** Does what may leave instances without messages for a while. */
  async unsettle(action: () => Promise<unknown>, instances = this.instances): Promise<void> {
    await instances.reduce<() => Promise<unknown>>((run, instance) => () => instance.during(run), action)();
  }

  kill(type: 'pubsub' | 'normal'): Promise<unknown> {
    return Promise.all(this.servers.map((server) => server.cli('CLIENT', 'KILL', 'TYPE', type)));
  }

  /** All records are deleted by somebody who is none of the instances. */
  async flush(masters: readonly RedisServer[]): Promise<void> {
    await this.still(async () => {
      const flushed = Promise.all(masters.map((server) => server.cli('FLUSHALL')));
      const histories = this.worlds.flatMap((world) => world.histories);
      await Promise.all(histories.map((history) => history.write('outside', undefined, () => flushed)));
    });
  }

  /** What an instance sends, or is sent, does not arrive for a while. */
  async stall(process: number, which: 'feed' | 'replies of the feed' | 'all', ms: number): Promise<void> {
    const instance = this.instances[process];
    if (!instance) throw new Error(`there is no process ${process}`);
    const cut = async () => {
      for (const proxy of instance.proxies) {
        if (which === 'all') proxy.stall();
        else if (which === 'feed') proxy.stall(FEED);
        else proxy.stallReplies(FEED);
      }
      await sleep(ms);
      await instance.heal();
    };
    await this.unsettle(cut, [instance]);
  }

  async heal(): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance.heal()));
  }

  /** Waits until every instance must know of everything again, and then for a while. */
  async settled(): Promise<void> {
    await eventually(() => expect(this.instances.map(({ isSettled }) => isSettled)).not.toContain(false));
    await sleep(TRAVEL + 50);
  }

  async stop(): Promise<void> {
    await this.pulse.stop();
    await this.heal();
    await Promise.all([...this.instances, { app: this.outsider }].map(({ app }) => app?.close()));
    await Promise.all(this.instances.flatMap(({ proxies }) => proxies.map((proxy) => proxy.stop())));
  }

  /** @param reached - how the servers are reached behind proxies, given in their order */
  protected async open(url: string, reached: (proxies: readonly TcpProxy[]) => object): Promise<void> {
    const options = { namespace: NAMESPACE, timeout: TIMEOUT };
    const instance = async () => {
      const proxies = await Promise.all(this.servers.map((server) => TcpProxy.start(server)));
      const near = { ...options, nearCache: { lease: LEASE }, ...reached(proxies) };
      return new NearInstance(await CacheApp.start(near), proxies);
    };
    this.instances = await Promise.all([instance(), instance()]);
    this.outsider = await CacheApp.start({ url, ...options });
    await this.heal();
  }
}
