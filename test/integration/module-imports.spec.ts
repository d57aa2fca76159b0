import { type DynamicModule, Global, Injectable, Module } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { getCacheStoreToken, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisServer } from '../support/redis-server.js';

const NAME = 'reset-token';
const root = RedisCacheModule.forRoot({ url: 'memory:', ttl: null });

describe('a store', () => {
  let app: TestingModule | undefined;
  let warnings: string[];
  beforeEach(() => (warnings = []));
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function boot(...imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>) {
    const warn = (message: unknown) => void warnings.push(String(message));
    app = await Test.createTestingModule({ imports })
      .setLogger({ log() {}, error() {}, warn })
      .compile();
    return app.init();
  }

  const made: [string, () => DynamicModule][] = [
    ['forFeature', () => RedisCacheModule.forFeature({ namespace: NAME, ttl: '1h' })],
    [
      'forFeatureAsync',
      () => RedisCacheModule.forFeatureAsync({ name: NAME, useFactory: () => ({ namespace: NAME, ttl: '1h' }) }),
    ],
  ];
  const passedOn: [string, (store: DynamicModule) => NonNullable<DynamicModule['exports']>][] = [
    ['exports: [RedisCacheModule]', () => [RedisCacheModule]],
    ['exports: [the same dynamic module]', (store) => [store]],
  ];

  describe.each(made)('of %s', (_, make) => {
    it.each(passedOn)('is passed on by a module with %s', async (__, exportsOf) => {
      const store = make();
      @Module({ imports: [store], exports: exportsOf(store) })
      class SharedModule {}
      const user = { provide: 'user', inject: [getCacheStoreToken(NAME)], useFactory: (one: RedisCacheStore) => one };
      @Module({ imports: [SharedModule], providers: [user] })
      class UserModule {}
      const module = await boot(root, UserModule);
      expect(module.get<RedisCacheStore>('user', { strict: false }).namespace).toBe(NAME);
    });
  });

  it('can be called in onModuleInit of a module that Nest starts before the one that opens the connection', async () => {
    const server = await RedisServer.start();
    @Injectable()
    class Seeds {
      constructor(private readonly store: RedisCacheStore) {}
      onModuleInit = () => this.store.put('seed', 1);
    }
    @Global()
    @Module({ imports: [RedisCacheModule.forRoot({ url: server.url, ttl: '1h' })], providers: [Seeds] })
    class InfrastructureModule {}
    try {
      const module = await boot(InfrastructureModule);
      expect(await module.get(RedisCacheStore).get('seed')).toBe(1);
      await app?.close();
    } finally {
      app = undefined;
      await server.stop();
    }
  });

  describe('without a ttl', () => {
    const withoutTtl = () => warnings.filter((line) => line.includes('never expire'));

    it('is told about once at boot, all of them in one line, with the two ways to say what is meant', async () => {
      const async_ = RedisCacheModule.forFeatureAsync({ name: 'c', useFactory: () => ({ namespace: 'x' }) });
      const feature = RedisCacheModule.forFeature({ namespace: 'a' }, { namespace: 'b', ttl: '1h' });
      await boot(RedisCacheModule.forRoot({ url: 'memory:', namespace: 'session' }), feature, async_);
      expect(withoutTtl()).toEqual([expect.stringMatching(/"ttl".*"ttl: null"/)]);
      for (const name of ['"session"', '"a"', '"c"']) expect(withoutTtl()[0]).toContain(name);
      expect(withoutTtl()[0]).not.toContain('"b"');
    });

    it('is not told about if it says `ttl: null`, and its records never expire', async () => {
      const module = await boot(root, RedisCacheModule.forFeature({ namespace: 'a', ttl: null }));
      expect(withoutTtl()).toEqual([]);
      const store = module.get<RedisCacheStore>(getCacheStoreToken('a'));
      await store.put('key', 1);
      expect(await store.ttl('key')).toBeNull();
    });
  });
});
