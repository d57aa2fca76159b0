import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { InjectCacheStore, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import type { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { NAMESPACE, NearStage, TRAVEL } from '../support/near-stage.js';
import { RedisServer } from '../support/redis-server.js';

const nearCache = { lease: '1m' };
const FEEDS = /flags=P|sub=1/;

@Injectable()
class LateService {
  constructor(@InjectCacheStore('late') readonly store: RedisCacheStore) {}
}

@Module({ imports: [RedisCacheModule.forFeature({ namespace: 'late', nearCache })], providers: [LateService] })
class LateModule {}

async function loadLate(app: CacheApp): Promise<RedisCacheStore> {
  const late = await app.module.get(LazyModuleLoader).load(() => LateModule);
  return late.get(LateService).store;
}

/** Where a near cache can be had, and what it opens. */
describe('a near cache', () => {
  let stage: NearStage;

  beforeAll(async () => (stage = await NearStage.start()));
  beforeEach(() => stage.reset());
  afterEach(() => stage.clean());
  afterAll(() => stage?.stop());

  const connections = async () =>
    String(await stage.server.cli('CLIENT', 'LIST'))
      .trim()
      .split('\n');
  const feeds = async () => (await connections()).filter((line) => FEEDS.test(line)).length;

  /** It keeps copies, and another client's writes reach it. */
  async function expectCoherent(store: RedisCacheStore): Promise<void> {
    const writer = await stage.open({ nearCache: false, namespace: store.namespace });
    for (const value of [1, 2]) {
      await writer.put('key', value);
      await eventually(async () => expect(await store.get('key')).toBe(value), { timeout: TRAVEL });
      await stage.warm(store, 'key');
    }
  }

  it('opens one connection beside that of the application, however many stores have one, and closes it', async () => {
    const stores = ['a', 'b', 'c'].map((namespace) => ({ namespace, nearCache }));
    const app = await stage.app({ url: stage.server.url, nearCache }, ...stores);
    await expectCoherent(app.storeOf('a'));
    await expectCoherent(app.storeOf('c'));
    expect(await feeds()).toBe(1);
    await app.close();
    await eventually(async () => expect(await feeds()).toBe(0));
  });

  it('opens nothing where no store has one', async () => {
    await stage.open({ nearCache: false });
    expect(await feeds()).toBe(0);
  });

  it('warns of nothing when the application is closed at once', async () => {
    for (let i = 0; i < 5; i++) {
      const app = await stage.app({ url: stage.server.url, nearCache, ttl: '1h' });
      await app.store.put('key', 1);
      await app.close();
    }
    await sleep(TRAVEL);
    expect(stage.warnings.join()).not.toContain('bypassed');
  });

  it('closes with the application also while its feed is being opened', async () => {
    stage.proxy.stallReplies((nth) => nth > 1);
    const app = await stage.app({ url: stage.proxy.url, nearCache });
    await app.close();
    await stage.proxy.resume();
    await eventually(() => expect(stage.proxy.open).toBe(0));
  });

  it('works with a client that the application brought', async () => {
    const client = stage.server.client({ connectionName: 'own', enableAutoPipelining: true, commandTimeout: 1000 });
    const store = await stage.open({ client, nearCache });
    await expectCoherent(store);
    expect(client.status).toBe('ready');
    expect(await feeds()).toBe(1);
  });

  it('of a module that is loaded when the application runs is as coherent as any other', async () => {
    const app = await stage.app({ url: stage.server.url, nearCache });
    await expectCoherent(app.store);
    await expectCoherent(await loadLate(app));
    await expectCoherent(app.store);
    expect(await feeds()).toBe(1);
  });

  it('of a module that is loaded when the application runs may be the first one', async () => {
    const app = await stage.app({ url: stage.server.url });
    await expectCoherent(await loadLate(app));
  });

  it('does nothing on memory:, where there is nothing to be gained', async () => {
    const store = await stage.open({ url: 'memory:', nearCache });
    await store.put('key', 'value');
    expect(await store.get('key')).toBe('value');
  });

  it('keeps nothing while its feed leads to another server than its reads, as may be behind a balancer', async () => {
    const other = await RedisServer.start();
    const [store, writer] = [await stage.proxied({ nearCache }), await stage.open({ nearCache: false })];
    try {
      await expectCoherent(store);
      stage.proxy.retarget(other);
      await stage.server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await eventually(() => expect(stage.warnings.join()).toContain('another server'), { timeout: 5000 });
      for (const value of [1, 2, 3]) {
        await writer.put('key', value);
        expect(await stage.readsDuring(async () => expect(await store.get('key')).toBe(value))).toBe(1);
      }
      stage.proxy.retarget(stage.server);
      await eventually(() => stage.warm(store, 'key'), { timeout: 15_000 });
      await expectCoherent(store);
    } finally {
      await other.stop();
    }
  }, 30_000);

  it.each([
    ['CLIENT TRACKING', ['-client', '+client|id', '+client|setname', '+client|caching']],
    ['CLIENT CACHING', ['-client', '+client|id', '+client|setname', '+client|tracking']],
    ['INFO', ['-info']],
    ['the invalidation channel', ['resetchannels']],
  ])('is bypassed, with one warning, where the user is not allowed %s', async (_, rules) => {
    const user = ['on', '>secret', '~*', '&*', '+@all'];
    await stage.server.cli('ACL', 'SETUSER', 'poor', 'reset', ...user, ...rules);
    const url = stage.server.url.replace('redis://', 'redis://poor:secret@');
    const store = await stage.open({ url, nearCache });
    const writer = await stage.open({ nearCache: false });
    for (const value of [1, 2, 3]) {
      await writer.put('key', value);
      expect(await stage.readsDuring(async () => expect(await store.get('key')).toBe(value))).toBe(1);
    }
    await eventually(async () => {
      const refusals = String(await stage.server.cli('INFO', 'commandstats'));
      expect(refusals).toMatch(/cmdstat_client(\|id)?:/); // it tries again, each time after a longer pause
    });
    const warnings = stage.warnings.filter((warning) => warning.includes('near cache'));
    expect(warnings).toEqual([expect.stringMatching(/^the near cache is bypassed: NOPERM/)]);

    await stage.server.cli('ACL', 'SETUSER', 'poor', ...user, 'allchannels');
    await eventually(() => stage.warm(store, 'key'), { timeout: 10_000 });
    await expectCoherent(store);
  });

  it('survives that all connections are killed again and again', async () => {
    const store = await stage.open({ nearCache });
    for (let i = 0; i < 5; i++) {
      await expectCoherent(store);
      await stage.server.cli('CLIENT', 'KILL', 'TYPE', i % 2 ? 'normal' : 'pubsub');
    }
    await expectCoherent(store);
    expect(await feeds()).toBe(1);
    expect(store.namespace).toBe(NAMESPACE);
  });
});
