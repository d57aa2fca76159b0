import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { reportFault } from '../support/fault-report.js';
import { DATA, NearStage, TRAVEL } from '../support/near-stage.js';
import { WorkerProcess } from '../support/worker-process.js';

const REVOCATIONS = 50;

/** What other processes of the application write. */
describe('a near cache and another process', () => {
  let stage: NearStage;
  let store: RedisCacheStore;
  let other: WorkerProcess<typeof import('../support/workers/near.worker.js')>;

  beforeAll(async () => {
    stage = await NearStage.start();
    other = await WorkerProcess.start('near.worker', { REDIS_URL: stage.server.url });
  });
  beforeEach(async () => {
    await stage.reset();
    store = await stage.proxied({ nearCache: { lease: '1m' } }); // nothing owes its freshness to the lease
  });
  afterEach(() => stage.clean());
  afterAll(async () => {
    await other?.kill();
    await stage?.stop();
  });

  it('a session that it revoked is refused here within the time a message travels', async () => {
    const delays: number[] = [];
    for (let i = 0; i < REVOCATIONS; i++) {
      await store.put('session', i);
      await stage.warm(store, 'session');
      let lastSeen = 0n;
      const acknowledged = other.run('revoke', 'session');
      for (let begun = 0n; ; lastSeen = begun) {
        begun = process.hrtime.bigint();
        if ((await store.get('session')) === undefined) break;
        await setImmediate();
      }
      delays.push(Math.max(0, Number(lastSeen - (await acknowledged)) / 1e6));
    }
    delays.sort((a, b) => a - b);
    const [p50 = 0, p98 = 0] = [delays[REVOCATIONS / 2], delays[REVOCATIONS - 2]];
    reportFault('near cache: revocation', { 'p50 (ms)': p50.toFixed(2), 'p98 (ms)': p98.toFixed(2) });
    expect(p98).toBeLessThan(TRAVEL);
  });

  it('none of its writes to hot keys is missed, however reads and invalidations overtake each other', async () => {
    const keys = Array.from({ length: 30 }, (_, i) => `hot ${i}`);
    const reads: { key: string; begun: bigint; count: number }[] = [];
    const ended = new AbortController();
    stage.proxy.delay(2, DATA); // so that invalidations overtake replies
    const readers = keys.map(async (key) => {
      while (!ended.signal.aborted) {
        const begun = process.hrtime.bigint();
        const count = await store.get<number>(key);
        if (count !== undefined) reads.push({ key, begun, count });
        await sleep(1);
      }
    });
    const acknowledged = new Map<string, bigint[]>(keys.map((key) => [key, []]));
    try {
      for (let last = 20; last <= 120; last += 20) {
        for (const [key, moments] of await other.run('countUp', keys, last - 20, last)) {
          acknowledged.get(key)?.push(...moments);
        }
        await sleep(TRAVEL); // from then on what is outdated would stay so
        expect(await Promise.all(keys.map((key) => store.get(key)))).toEqual(keys.map(() => last - 1));
      }
    } finally {
      ended.abort();
      await Promise.all(readers);
    }

    // A count may be read until the next one is acknowledged, and then for as long as its message travels.
    const late = reads.map(({ key, begun, count }) => {
      const next = acknowledged.get(key)?.[count + 1];
      return next === undefined ? 0 : Number(begun - next) / 1e6;
    });
    expect(late.length).toBeGreaterThan(1000);
    expect(late.filter((ms) => ms > TRAVEL)).toEqual([]);
  });
});
