import { setTimeout as sleep } from 'node:timers/promises';
import { CacheApp } from '../support/cache-app.js';
import { endure } from '../support/endure.js';
import { eventually } from '../support/eventually.js';
import { LONG } from '../support/fault-report.js';
import { expectCallsSettled } from '../support/load.js';
import { SentinelDeployment } from '../support/sentinel.js';
import { Witness } from '../support/witness.js';

const TIMEOUT = 500;
/** A backoff step at its longest, and a connection attempt that had just begun, in ms. */
const RECOVERY = 2000 + 1000;

describe('On Sentinel every call settles in time and writing goes on by itself when', () => {
  let deployment: SentinelDeployment;
  let apps: CacheApp[] = [];

  beforeEach(async () => {
    deployment = await SentinelDeployment.start({ password: 'p@ss' });
    const start = () => CacheApp.start({ url: deployment.url, timeout: TIMEOUT, namespace: 'chaos' });
    apps = [await start(), await start()];
  }, 40_000);
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await deployment?.stop();
  }, 20_000);

  it('the master is killed', async () => {
    const old = await deployment.master();
    const report = await endure('Sentinel: master killed (kill -9)', apps, async () => {
      await old.kill9();
      await deployment.masterOtherThan(old);
    });
    expectCallsSettled(report, TIMEOUT);
    expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    expect(report.recovery).toBeLessThan(RECOVERY);
    // What the master had acknowledged but not yet passed on: a moment's worth of writes at most.
    expect(report.lost).toBeLessThan(report.outcomes.acknowledged / 4);
  }, 40_000);

  it('the master is frozen, which loses only what it never passed on', async () => {
    const old = await deployment.master();
    const report = await endure('Sentinel: master frozen (SIGSTOP)', apps, async () => {
      old.freeze();
      await deployment.masterOtherThan(old);
    });
    expectCallsSettled(report, TIMEOUT);
    expect(report.outcomes['not-sent']).toBeGreaterThan(0);
    expect(report.recovery).toBeLessThan(RECOVERY);
    expect(report.lost).toBeLessThan(report.outcomes.acknowledged / 4);
  }, 40_000);

  it('the operator changes the master (SENTINEL FAILOVER)', async () => {
    const old = await deployment.master();
    const timeout = 4000; // of which a quarter is for the way to the new master
    await Promise.all(apps.splice(0).map((app) => app.close()));
    for (const _ of [1, 2]) apps.push(await CacheApp.start({ url: deployment.url, timeout, namespace: 'chaos' }));
    await sleep(1000); // a connection that is younger is not left
    const report = await endure('Sentinel: SENTINEL FAILOVER', apps, async () => {
      const heir = await deployment.failover();
      // The sentinels tell the old master only after some 10 s, in which it goes on accepting writes.
      if (!LONG) await old.cli('REPLICAOF', '127.0.0.1', heir.port);
      await eventually(async () => expect(await old.cli('ROLE')).toContain('slave'), { timeout: 20_000 });
    });
    expectCallsSettled(report, timeout);
    // READONLY of the old master is no answer to anybody.
    expect(report.outcomes.refused).toBe(0);
    expect(report.recovery).toBeLessThan(RECOVERY);
    for (const { store } of apps) await expect(store.put('after', 1)).resolves.toBeUndefined();
    expect(await (await deployment.master()).cli('EXISTS', 'chaos:after')).toBe(1);
  }, 40_000);

  it('a sentinel is gone, of which nothing is printed; nor is its password shown to anybody', async () => {
    const witness = new Witness();
    try {
      const app = await CacheApp.start({ url: deployment.url, timeout: TIMEOUT });
      await deployment.sentinels[2]?.kill9();
      await sleep(2500); // ioredis tries it again every second
      await app.close();
      const redis = { sentinelPassword: 'a secret of the sentinels' };
      await CacheApp.failure({ url: deployment.url, redis, timeout: TIMEOUT, startupTimeout: 500 });
      const seen = witness.seen.map(String).join('\n');
      expect(seen).not.toContain('Unhandled error event');
      expect(seen).not.toContain(redis.sentinelPassword);
    } finally {
      witness.stop();
    }
  }, 60_000);
});
