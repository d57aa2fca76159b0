import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheArgumentError, CacheConfigError } from 'nestjs-redis-cache-store';
import { eventually } from '../support/eventually.js';
import { FEED, NAMESPACE, NearStage, TRAVEL } from '../support/near-stage.js';

const LEASE = 400;
const options = { nearCache: { lease: LEASE } };

/** What a store with a near cache tells of a record. */
describe('watch', () => {
  let stage: NearStage;
  let store: RedisCacheStore;
  let writer: RedisCacheStore;
  let told: string[];

  beforeAll(async () => (stage = await NearStage.start()));
  beforeEach(async () => {
    await stage.reset();
    [store, writer] = [await stage.proxied(options), await stage.open({ nearCache: false })];
    told = [];
  });
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  const watch = (of: RedisCacheStore, key = 'key') =>
    of.watch(key).subscribe({
      next: (change) => told.push(change),
      complete: () => told.push('complete'),
      error: () => told.push('error'),
    });

  const expectTold = (expected: string[], timeout = TRAVEL) =>
    eventually(() => expect(told).toEqual(expected), { timeout });

  /** Until the record is tracked, which only the reader knows. */
  async function settled(): Promise<void> {
    await stage.warm(store, 'key');
    await sleep(LEASE);
  }

  it('tells of every change by another instance, one after the other, and of the end', async () => {
    await writer.put('key', 0);
    watch(store);
    await settled();
    for (let i = 1; i <= 3; i++) {
      await writer.put('key', i);
      await expectTold(Array(i).fill('changed'));
    }
    await writer.delete('key');
    await expectTold(['changed', 'changed', 'changed', 'gone']);
    await writer.put('key', 1);
    await expectTold(['changed', 'changed', 'changed', 'gone', 'changed']);
  });

  it('tells of what this process changes as well', async () => {
    await store.put('key', 0);
    watch(store);
    await settled();
    await store.put('key', 1);
    await expectTold(['changed']);
    await store.delete('key');
    await expectTold(['changed', 'gone']);
  });

  it('tells at once that there is no record, and of one that comes', async () => {
    watch(store);
    await expectTold(['gone'], 2000);
    await sleep(LEASE);
    await writer.put('key', 1);
    await expectTold(['gone', 'changed']);
  });

  it('tells of the end of a record that expires, without anybody reading it', async () => {
    await writer.put('key', 1, { ttl: LEASE });
    watch(store);
    await expectTold(['gone'], LEASE + TRAVEL);
  });

  it('tells nothing of a longer life', async () => {
    await writer.put('key', 1, { ttl: '1m' });
    watch(store);
    await settled();
    await writer.touch('key', '1h');
    await sleep(TRAVEL);
    expect(told).toEqual([]);
  });

  it.each<[fault: string, breakIt: (stage: NearStage) => unknown]>([
    ['stalled', ({ proxy }) => proxy.stall(FEED)],
    [
      'cut, and cannot be opened again',
      ({ proxy }) => {
        proxy.endConnections(FEED);
        proxy.stall(FEED);
      },
    ],
  ])('with a feed that is %s misses nothing for longer than the lease', async (_, breakIt) => {
    await writer.put('key', 0);
    watch(store);
    await settled();
    breakIt(stage);
    await writer.put('key', 1);
    await expectTold(['changed'], LEASE + TRAVEL);
    await writer.delete('key');
    await expectTold(['changed', 'gone'], LEASE + TRAVEL);
  });

  it('outlives an outage, and then tells of what happened meanwhile', async () => {
    await writer.put('key', 0);
    watch(store);
    await settled();
    stage.proxy.stall();
    await writer.delete('key');
    await sleep(2 * LEASE);
    expect(told).toEqual([]);
    await stage.proxy.resume();
    await expectTold(['gone'], 10_000);
  });

  it('works, within the lease, where the server does not allow tracking', async () => {
    const rules = ['~*', '&*', '+@all', '-client', '+client|id', '+client|setname', '+client|caching'];
    await stage.server.cli('ACL', 'SETUSER', 'poor', 'on', '>secret', ...rules);
    const poor = await stage.open({ ...options, url: stage.server.url.replace('redis://', 'redis://poor:secret@') });
    await writer.put('key', 0);
    watch(poor);
    await sleep(LEASE);
    await writer.delete('key');
    await expectTold(['gone'], LEASE + TRAVEL);
  });

  it('works on memory:', async () => {
    const memory = await stage.open({ ...options, url: 'memory:' });
    await memory.put('key', 0);
    watch(memory);
    await sleep(10);
    await memory.put('key', 1);
    await expectTold(['changed']);
    await memory.delete('key');
    await expectTold(['changed', 'gone']);
  });

  it('ends with the application, and asks nothing more once nobody listens', async () => {
    const app = await stage.app({ url: stage.server.url, ...options });
    await writer.put('key', 0);
    watch(app.store);
    const subscription = app.store.watch('other').subscribe();
    await stage.warm(app.store, 'key');
    subscription.unsubscribe();
    expect(await stage.readsDuring(async () => void (await stage.server.cli('SET', `${NAMESPACE}:other`, 1)))).toBe(0);
    await app.close();
    await expectTold(['complete'], 2000);
  });

  it('refuses a bad key, and a store without a near cache', () => {
    expect(() => store.watch('')).toThrow(CacheArgumentError);
    expect(() => writer.watch('key')).toThrow(CacheConfigError);
    expect(() => writer.watch('key')).toThrow(/nearCache/);
  });
});
