import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { NAMESPACE, NearStage } from '../support/near-stage.js';
import { TcpProxy } from '../support/proxy.js';

/** So long that no PING comes meanwhile. */
const nearCache = { lease: '1m' };
const KEY = `${NAMESPACE}:key`;
const INSTANCES = 6;
const HOLDERS = 2;

/** An instance of an application, of which every byte that it is sent is counted. */
class Instance {
  static async start(stage: NearStage): Promise<Instance> {
    const proxy = await TcpProxy.start(stage.server);
    return new Instance(
      proxy,
      await CacheApp.start({ url: proxy.url, namespace: NAMESPACE, nearCache, heartbeat: '1m' }),
    );
  }

  private constructor(
    private readonly proxy: TcpProxy,
    private readonly app: CacheApp,
  ) {}

  get store(): RedisCacheStore {
    return this.app.store;
  }

  get received(): number {
    return this.proxy.bytes.replies;
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.proxy.stop();
  }
}

describe('what a change costs Redis', () => {
  let stage: NearStage;
  let instances: Instance[];
  let holders: Instance[];

  beforeAll(async () => {
    stage = await NearStage.start();
    await stage.reset();
    instances = await Promise.all(Array.from({ length: INSTANCES }, () => Instance.start(stage)));
    holders = instances.slice(0, HOLDERS);
    await instances[0]?.store.putMany(['key', 'source', 'warm'].map((key) => [key, key]));
    for (const { store } of instances) await stage.warm(store, 'warm');
  });
  afterAll(async () => {
    await Promise.all((instances ?? []).map((instance) => instance.close()));
    await stage?.clean();
    await stage?.stop();
  });

  it.each<[change: string, act: () => Promise<unknown>]>([
    ['an overwritten record', () => stage.overwrite('key', 'source')],
    ['an extended record', () => stage.server.cli('PEXPIRE', KEY, 600_000)],
    ['a deleted record', () => stage.server.cli('DEL', KEY)],
  ])(
    '%s: one message of at most 90 bytes and the key to each holder of a copy, and nothing to the others',
    async (_, act) => {
      for (const { store } of holders) await stage.warm(store, 'key');
      const before = instances.map(({ received }) => received);
      await act();
      const pushed = () => instances.map(({ received }, i) => received - (before[i] ?? 0));
      await eventually(() => expect(pushed().filter((bytes) => bytes > 0)).toHaveLength(HOLDERS));
      expect(Math.max(...pushed())).toBeLessThanOrEqual(KEY.length + 90);
      expect(pushed().slice(HOLDERS)).toEqual(Array(INSTANCES - HOLDERS).fill(0));
      // And only the first of several changes, since nobody has read it again.
      await act();
      await stage.server.cli('PING');
      expect(pushed().reduce((sum, bytes) => sum + bytes)).toBeLessThanOrEqual(HOLDERS * (KEY.length + 90));
      await stage.overwrite('key', 'source');
    },
  );

  it('reads that are not kept are not tracked: those with a touch, and those of a store without a near cache', async () => {
    const { store } = await stage.app({ url: stage.server.url });
    const [instance] = instances;
    await instance?.store.put('other', 1, { ttl: '1h' });
    await instance?.store.get('other', { touch: true });
    await store.get('other');
    const before = instance?.received;
    await stage.server.cli('DEL', `${NAMESPACE}:other`);
    await stage.server.cli('PING');
    expect(instance?.received).toBe(before);
  });
});
