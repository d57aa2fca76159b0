import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { reportFault } from '../support/fault-report.js';
import { TRAVEL } from '../support/near-stage.js';
import type { RedisServer } from '../support/redis-server.js';
import { SentinelDeployment } from '../support/sentinel.js';

/** Longer than a failover takes, so that the old value may be seen for a while. */
const LEASE = 3000;
const options = { namespace: 'near', nearCache: { lease: LEASE }, timeout: 1000 };

describe('the near cache on Sentinel', () => {
  let deployment: SentinelDeployment;
  let apps: CacheApp[];
  let store: RedisCacheStore;
  let other: RedisCacheStore;

  beforeEach(async () => {
    apps = [];
    deployment = await SentinelDeployment.start();
    for (let i = 0; i < 2; i++) apps.push(await CacheApp.start({ url: deployment.url, ...options }));
    [store, other] = apps.map((app) => app.store) as [RedisCacheStore, RedisCacheStore];
  }, 40_000);
  afterEach(async () => {
    for (const server of deployment?.servers ?? []) thaw(server);
    await Promise.all(apps.map((app) => app.close()));
    await deployment?.stop();
  }, 30_000);

  it.each<[how: string, fail: (master: RedisServer) => Promise<unknown>]>([
    ['dies', (master) => master.kill9()],
    ['is frozen', async (master) => master.freeze()],
  ])('follows to the new master when the old one %s, and is never older than the lease', async (how, fail) => {
    await other.put('key', 0);
    await eventually(async () => expect(await store.get('key')).toBe(0));
    const old = await deployment.master();
    await fail(old);

    // From here on `other` counts up wherever it is let, and `store` must not fall behind.
    const acknowledged = [performance.now()]; // when each count was
    const ended = new AbortController();
    const counting = (async () => {
      for (; !ended.signal.aborted; await sleep(20)) {
        const done = await other.put('key', acknowledged.length).then(
          () => true,
          () => false,
        );
        if (done) acknowledged.push(performance.now());
      }
    })();
    let oldest = 0;
    let answers = 0;
    const isOld = (begun: number, value: number) => begun - (acknowledged[value + 1] ?? Infinity);
    const looking = (async () => {
      for (; !ended.signal.aborted; await sleep(2)) {
        const begun = performance.now();
        const value = await store.get<number>('key').catch(() => undefined);
        if (value === undefined) continue;
        answers++;
        oldest = Math.max(oldest, isOld(begun, value));
      }
    })();
    const master = await deployment.masterOtherThan(old);
    await eventually(() => expect([acknowledged.length > 20, answers > 20]).toEqual([true, true]), { timeout: 10_000 });
    ended.abort();
    await Promise.all([counting, looking]);
    expect(oldest).toBeLessThanOrEqual(LEASE + TRAVEL);
    reportFault(`near cache: master ${how}`, { lease: LEASE, 'oldest answer (ms)': Math.round(oldest) });

    // It keeps copies of what the new master has, and hears of its changes.
    await eventually(() => other.put('key', 'first'), { timeout: 10_000 });
    await eventually(async () => expect(await store.get('key')).toBe('first'), { timeout: 10_000 });
    const feeds = async () => String(await master.cli('CLIENT', 'LIST', 'TYPE', 'pubsub'));
    await eventually(async () => expect(await feeds()).toContain('redir='), { timeout: 10_000 });
    await other.put('key', 'second');
    await eventually(async () => expect(await store.get('key')).toBe('second'), { timeout: TRAVEL });
  });
});

function thaw(server: RedisServer): void {
  try {
    server.thaw();
  } catch {
    // it was killed
  }
}
