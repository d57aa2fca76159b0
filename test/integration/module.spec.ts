import { Global, Injectable, Module, type DynamicModule, type Type } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  type CacheStoreOptions,
  type CacheStoreOptionsFactory,
  getCacheStoreToken,
  InjectCacheStore,
  RedisCacheModule,
  type RedisCacheModuleOptions,
  type RedisCacheOptionsFactory,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';
import { SILENT } from '../support/cache-app.js';

const MEMORY = { url: 'memory:', namespace: 'session' };

/** As an application does it: a guard with the default store, a service with one of its own. */
@Injectable()
class SessionGuard {
  constructor(
    readonly sessions: RedisCacheStore,
    readonly connection: RedisConnection,
  ) {}
}

@Injectable()
class PasswordReset {
  constructor(@InjectCacheStore('reset-token') readonly tokens: RedisCacheStore) {}
}

@Injectable()
class Settings implements RedisCacheOptionsFactory, CacheStoreOptionsFactory {
  createRedisCacheOptions(): RedisCacheModuleOptions {
    return MEMORY;
  }
  createCacheStoreOptions(): Promise<CacheStoreOptions> {
    return Promise.resolve({ namespace: 'reset', ttl: '2h' });
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describe('the module', () => {
  let app: TestingModule | undefined;
  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  async function boot(
    imports: (Type | DynamicModule | Promise<DynamicModule>)[],
    ...providers: Type[]
  ): Promise<TestingModule> {
    app = await Test.createTestingModule({ imports, providers }).setLogger(SILENT).compile();
    await app.init();
    return app;
  }

  /** A module of the application that knows nothing of the root module. */
  function featureModule(imports: (Type | DynamicModule)[], ...providers: Type[]): DynamicModule {
    @Module({})
    class FeatureModule {}
    return { module: FeatureModule, imports, providers, exports: providers };
  }

  describe('forRoot', () => {
    it('gives the default store and the connection to every module, without importing', async () => {
      const feature = featureModule([], SessionGuard);
      const { sessions, connection } = (await boot([RedisCacheModule.forRoot(MEMORY), feature])).get(SessionGuard);
      await sessions.put('key', 1);
      expect(await sessions.get('key')).toBe(1);
      expect(sessions.namespace).toBe('session');
      expect(connection.status).toBe('ready');
    });

    it('gives them only to modules that import it, with isGlobal: false', async () => {
      const root = RedisCacheModule.forRoot({ ...MEMORY, isGlobal: false });
      await expect(boot([root, featureModule([], SessionGuard)])).rejects.toThrow('RedisCacheStore');
      const { sessions } = (await boot([root, featureModule([root], SessionGuard)])).get(SessionGuard);
      expect(sessions).toBe(app?.get(RedisCacheStore));
    });

    it('is refused a second time: whose connection a further store gets would be anybody’s guess', async () => {
      const other = featureModule([RedisCacheModule.forRoot({ ...MEMORY, isGlobal: false })]);
      const error = boot([RedisCacheModule.forRoot(MEMORY), other]);
      await expect(error).rejects.toMatchObject({ code: 'CACHE_CONFIG', option: 'forRoot' });
    });

    it('is found by forFeature in any module, global or not', async () => {
      const feature = featureModule([RedisCacheModule.forFeature({ namespace: 'reset-token' })], PasswordReset);
      const root = RedisCacheModule.forRoot({ ...MEMORY, isGlobal: false });
      const { tokens } = (await boot([root, feature])).get(PasswordReset);
      await tokens.put('key', 1);
      expect(await tokens.keys()).toEqual(['key']);
    });

    it('does nothing by itself: its options are looked at when the application is made', () => {
      expect(() => RedisCacheModule.forRoot({ url: 'nonsense' })).not.toThrow();
    });
  });

  describe('forRootAsync', () => {
    it('takes its options from ConfigService', async () => {
      const config = ConfigModule.forRoot({
        ignoreEnvFile: true,
        load: [() => ({ REDIS_URL: 'memory:', NAMESPACE: 'configured' })],
      });
      const root = RedisCacheModule.forRootAsync({
        imports: [config],
        inject: [ConfigService],
        useFactory: (service: ConfigService) => ({
          url: service.getOrThrow<string>('REDIS_URL'),
          namespace: service.getOrThrow<string>('NAMESPACE'),
          ttl: '30m',
        }),
      });
      const { sessions } = (await boot([config, root], SessionGuard)).get(SessionGuard);
      expect(sessions.namespace).toBe('configured');
      await sessions.put('key', 1);
      expect(await sessions.ttl('key')).toBeGreaterThan(1_700_000);
    });

    it('takes its options from a class', async () => {
      const root = RedisCacheModule.forRootAsync({ useClass: Settings });
      expect((await boot([root])).get(RedisCacheStore).namespace).toBe('session');
    });

    it('takes its options from a provider that exists', async () => {
      const root = RedisCacheModule.forRootAsync({ imports: [SettingsModule], useExisting: Settings });
      expect((await boot([root])).get(RedisCacheStore).namespace).toBe('session');
    });

    it('may be not global', async () => {
      const root = RedisCacheModule.forRootAsync({ useClass: Settings, isGlobal: false });
      await expect(boot([root, featureModule([], SessionGuard)])).rejects.toThrow('RedisCacheStore');
    });

    it('fails the boot with what its factory throws', async () => {
      const useFactory = () => Promise.reject(new Error('no settings'));
      await expect(boot([RedisCacheModule.forRootAsync({ useFactory })])).rejects.toThrow('no settings');
    });
  });

  describe('forFeature', () => {
    it('gives several stores, each by its name, by default its namespace', async () => {
      const stores = RedisCacheModule.forFeature(
        { namespace: 'a', ttl: '1h' },
        { namespace: 'b', name: 'bee' },
        { namespace: 'a', name: 'another-a' },
      );
      const module = await boot([RedisCacheModule.forRoot({ ...MEMORY, ttl: '5m' }), stores]);
      const [a, bee, again] = ['a', 'bee', 'another-a'].map((name) =>
        module.get<RedisCacheStore>(getCacheStoreToken(name)),
      );
      expect([a?.namespace, bee?.namespace, again?.namespace]).toEqual(['a', 'b', 'a']);
      await a?.put('key', 1);
      expect(await a?.ttl('key')).toBeGreaterThan(3_500_000);
      expect(await again?.get('key')).toBe(1);
      expect(await bee?.get('key')).toBeUndefined();
      await bee?.put('key', 2);
      expect(await bee?.ttl('key')).toBeNull(); // the ttl of forRoot is that of the default store alone
      expect(() => module.get(getCacheStoreToken('b'))).toThrow();
    });

    it('gives its stores only to modules that import it', async () => {
      const root = RedisCacheModule.forRoot(MEMORY);
      const stores = featureModule([RedisCacheModule.forFeature({ namespace: 'reset-token' })]);
      await expect(boot([root, stores, featureModule([], PasswordReset)])).rejects.toThrow(
        'RedisCacheStore:reset-token',
      );
    });

    it('can be imported by several modules, which then share the records', async () => {
      @Injectable()
      class Other {
        constructor(@InjectCacheStore('reset-token') readonly tokens: RedisCacheStore) {}
      }
      const feature = () => RedisCacheModule.forFeature({ namespace: 'reset-token' });
      const root = RedisCacheModule.forRoot(MEMORY);
      const module = await boot([root, featureModule([feature()], PasswordReset), featureModule([feature()], Other)]);
      await module.get(PasswordReset).tokens.put('key', 1);
      expect(await module.get(Other).tokens.take('key')).toBe(1);
    });

    it('fails the boot with two stores of one name, of which the last would silently be both', async () => {
      const stores = RedisCacheModule.forFeature({ namespace: 'a' }, { namespace: 'b', name: 'a' });
      const message = expect.stringContaining('"name" of the store "a"');
      await expect(boot([RedisCacheModule.forRoot(MEMORY), stores])).rejects.toMatchObject({ option: 'name', message });
    });

    it('without forRoot fails the boot, and the error says so', async () => {
      await expect(boot([RedisCacheModule.forFeature({ namespace: 'reset-token' })])).rejects.toMatchObject({
        code: 'CACHE_CONFIG',
        message: expect.stringMatching(/no default connection.*import RedisCacheModule\.forRoot\(\)/),
      });
    });
  });

  describe('forFeatureAsync', () => {
    const name = 'reset-token';
    const asked: [string, () => DynamicModule, string][] = [
      [
        'a factory',
        () =>
          RedisCacheModule.forFeatureAsync({
            name,
            imports: [SettingsModule],
            inject: [Settings],
            useFactory: (settings: Settings) => settings.createCacheStoreOptions(),
          }),
        'reset',
      ],
      ['a class', () => RedisCacheModule.forFeatureAsync({ name, useClass: Settings }), 'reset'],
      [
        'a provider that exists',
        () => RedisCacheModule.forFeatureAsync({ name, imports: [SettingsModule], useExisting: Settings }),
        'reset',
      ],
      [
        'a factory that gives a name of its own, which does not count,',
        () =>
          RedisCacheModule.forFeatureAsync({
            name,
            useFactory: () => ({ namespace: 'own', name: 'other', ttl: '2h' }),
          }),
        'own',
      ],
    ];

    it.each(asked)('takes its options from %s', async (_, stores, namespace) => {
      const feature = featureModule([stores()], PasswordReset);
      const { tokens } = (await boot([RedisCacheModule.forRoot(MEMORY), feature])).get(PasswordReset);
      expect(tokens.namespace).toBe(namespace);
      await tokens.put('key', 1);
      expect(await tokens.ttl('key')).toBeGreaterThan(7_000_000);
    });

    it('gives several stores, each by its name', async () => {
      const module = await boot([
        RedisCacheModule.forRoot(MEMORY),
        RedisCacheModule.forFeatureAsync({ name: 'one', useFactory: () => ({ namespace: 'one' }) }),
        RedisCacheModule.forFeatureAsync({ name: 'two', useFactory: () => ({ namespace: 'two' }) }),
      ]);
      const namespaces = ['one', 'two'].map((each) => module.get<RedisCacheStore>(getCacheStoreToken(each)).namespace);
      expect(namespaces).toEqual(['one', 'two']);
    });
  });

  it('lets tests of an application put something else in the place of a store', async () => {
    const fake = { get: () => Promise.resolve('fake') };
    app = await Test.createTestingModule({
      imports: [RedisCacheModule.forRoot(MEMORY), RedisCacheModule.forFeature({ namespace: 'reset-token' })],
      providers: [SessionGuard, PasswordReset],
    })
      .overrideProvider(RedisCacheStore)
      .useValue(fake)
      .overrideProvider(getCacheStoreToken('reset-token'))
      .useValue(fake)
      .compile();
    expect(app.get(SessionGuard).sessions).toBe(fake);
    expect(app.get(PasswordReset).tokens).toBe(fake);
  });

  it('can be there twice in a process, in applications that know nothing of each other', async () => {
    @Global()
    @Module({ imports: [RedisCacheModule.forRoot(MEMORY)] })
    class AppModule {}
    const [one, two] = await Promise.all(
      [1, 2].map(() =>
        Test.createTestingModule({ imports: [AppModule] })
          .setLogger(SILENT)
          .compile(),
      ),
    );
    await Promise.all([one?.init(), two?.init()]);
    await one?.get(RedisCacheStore).put('key', 1);
    expect(await two?.get(RedisCacheStore).get('key')).toBeUndefined();
    await one?.close();
    await two?.get(RedisCacheStore).put('key', 2);
    expect(await two?.get(RedisCacheStore).get('key')).toBe(2);
    await two?.close();
  });
});
