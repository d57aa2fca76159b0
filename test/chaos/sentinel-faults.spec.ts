import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { SentinelDeployment } from '../support/sentinel.js';

describe('A fault of sentinels while the master lives', () => {
  let deployment: SentinelDeployment;
  let app: CacheApp;

  beforeEach(async () => {
    deployment = await SentinelDeployment.start();
    app = await CacheApp.start({ url: deployment.url, timeout: '2s' });
  }, 40_000);
  afterEach(async () => {
    await app?.close();
    deployment?.sentinels.forEach((sentinel) => sentinel.thaw());
    await deployment?.stop();
  }, 20_000);

  async function expectUndisturbed(): Promise<void> {
    const statuses: string[] = [];
    const subscription = app.connection.status$.subscribe((status) => statuses.push(status));
    for (let i = 0; i < 25; i++) {
      await app.store.put('key', i);
      expect(await app.store.get('key')).toBe(i);
      await sleep(100);
    }
    subscription.unsubscribe();
    expect(statuses).toEqual(['ready']);
  }

  it('disturbs nobody when one has ended its connections and wants a password, as after a restart', async () => {
    const [sentinel] = deployment.sentinels;
    const refused = async () =>
      Number(/total_error_replies:(\d+)/.exec(String(await sentinel?.cli('INFO', 'stats')))?.[1]);
    await sentinel?.cli('ACL', 'SETUSER', 'default', 'resetpass', '>secret');
    const before = await refused();
    await sentinel?.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await expectUndisturbed();
    expect(await refused()).toBeGreaterThan(before);
  }, 30_000);

  it('is watched for by no more listeners after many connections to the master were lost', async () => {
    const add = jest.spyOn(EventTarget.prototype, 'addEventListener');
    const remove = jest.spyOn(EventTarget.prototype, 'removeEventListener');
    const master = await deployment.master();
    for (let i = 0; i < 20; i++) {
      await master.cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await eventually(() => app.store.put('key', i), { interval: 1 });
    }
    const listeners = new Map<unknown, Set<unknown>>();
    let most = 0;
    const calls = [add, remove].flatMap(({ mock }) => mock.calls.map(([, listener], i) => ({ mock, listener, i })));
    const orderOf = ({ mock, i }: (typeof calls)[number]) => mock.invocationCallOrder[i] ?? 0;
    for (const { mock, listener, i } of calls.toSorted((one, other) => orderOf(one) - orderOf(other))) {
      const there = listeners.get(mock.contexts[i]) ?? new Set();
      listeners.set(mock.contexts[i], there);
      if (mock === remove.mock) there.delete(listener);
      else most = Math.max(most, there.add(listener).size);
    }
    jest.restoreAllMocks();
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(10); // or Node warns of a leak
  }, 30_000);

  it('disturbs nobody when one is frozen', async () => {
    deployment.sentinels[1]?.freeze();
    await expectUndisturbed();
  }, 30_000);

  it('disturbs nobody when all are gone, and they are asked again as soon as they are back', async () => {
    for (const sentinel of deployment.sentinels) await sentinel.kill9();
    await expectUndisturbed();
    await Promise.all(deployment.sentinels.map((sentinel) => sentinel.restart()));
    await deployment.converged();
    await (await deployment.master()).cli('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(() => app.store.put('key', 1), { timeout: 10_000 });
  }, 60_000);

  it('does not keep anybody at a master that they have replaced and that goes on taking writes', async () => {
    const old = await deployment.master();
    // Cut off from the sentinels, it does not hear that it is a replica now.
    await old.cli('ACL', 'SETUSER', 'default', '-replicaof', '-slaveof');
    const heir = await deployment.failover();
    await eventually(
      async () => {
        await app.store.put('written to the heir', 1);
        expect(await heir.cli('EXISTS', 'cache:written to the heir')).toBe(1);
      },
      { timeout: 10_000 },
    );
    expect(await old.cli('ROLE')).toContain('master');
  }, 30_000);

  it('is survived also by a boot, while most sentinels are frozen or gone; the last one takes nobody elsewhere', async () => {
    const { port } = await deployment.replica();
    deployment.sentinels[0]?.freeze();
    await deployment.sentinels[1]?.kill9();
    const another = await CacheApp.start({ url: deployment.url, timeout: '2s' });
    await another.store.put('key', 1);
    expect(await app.store.get('key')).toBe(1);
    await another.close();
    await deployment.sentinels[0]?.kill9();
    await deployment.sentinels[2]?.cli('SENTINEL', 'REMOVE', deployment.masterName);
    await deployment.sentinels[2]?.cli('SENTINEL', 'MONITOR', deployment.masterName, '127.0.0.1', port, 2);
    await expectUndisturbed();
  }, 30_000);
});
