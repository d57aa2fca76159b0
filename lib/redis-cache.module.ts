import { ConfigurableModuleBuilder, Global, Inject, Logger, Module } from '@nestjs/common';
import type {
  ConfigurableModuleAsyncOptions,
  DynamicModule,
  FactoryProvider,
  InjectionToken,
  OnApplicationShutdown,
  OnModuleInit,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { filter, take } from 'rxjs';
import type { CacheBackend } from './backend/cache-backend.js';
import { MemoryBackend } from './backend/memory.backend.js';
import { RedisBackend } from './backend/redis.backend.js';
import { RedisConnection } from './connection/redis-connection.js';
import { checkServer } from './connection/self-check.js';
import { CacheConfigError } from './redis-cache.errors.js';
import type { CacheStoreOptions, RedisCacheModuleOptions } from './redis-cache.options.js';
import { getCacheStoreToken } from './redis-cache.options.js';
import { resolveConnection, resolveDefaultStore, resolveMaxBytes, resolveStore } from './resolve-options.js';
import type { StoreSurroundings } from './resolve-options.js';
import { KeyRing } from './record/key-ring.js';
import type { EncryptionSource } from './record/key-ring.js';
import type { StoreSettings } from './store/store-settings.js';
import { RedisCacheStore } from './store/redis-cache.store.js';

/**
 * Where `useClass` and `useExisting` of `forRootAsync` get the options from.
 *
 * @example
 * ```ts
 * class CacheConfig implements RedisCacheOptionsFactory {
 *   constructor(private readonly config: ConfigService) {}
 *   createRedisCacheOptions() { return { url: this.config.getOrThrow<string>('REDIS_URL'), namespace: 'session' }; }
 * }
 * ```
 */
export interface RedisCacheOptionsFactory {
  createRedisCacheOptions(): RedisCacheModuleOptions | Promise<RedisCacheModuleOptions>;
}

/** Where `useClass` and `useExisting` of `forFeatureAsync` get the options from. */
export interface CacheStoreOptionsFactory {
  createCacheStoreOptions(): CacheStoreOptions | Promise<CacheStoreOptions>;
}

/** `imports`, `inject`, and one of `useFactory`, `useClass` and `useExisting`. */
export type RedisCacheModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  RedisCacheModuleOptions,
  keyof RedisCacheOptionsFactory
> & { isGlobal?: boolean };

/** The name of the store, `imports`, `inject`, and one of `useFactory`, `useClass` and `useExisting`. */
export type CacheStoreAsyncOptions = ConfigurableModuleAsyncOptions<
  CacheStoreOptions,
  keyof CacheStoreOptionsFactory
> & { name: string };

const root = new ConfigurableModuleBuilder<RedisCacheModuleOptions>({ moduleName: 'RedisCache' })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createRedisCacheOptions')
  .build();

const FEATURE_OPTIONS = Symbol('CacheStoreOptions');

const feature = new ConfigurableModuleBuilder<CacheStoreOptions>({ optionsInjectionToken: FEATURE_OPTIONS })
  .setClassMethodName('forFeature')
  .setFactoryMethodName('createCacheStoreOptions')
  .setExtras({ name: '' }, (definition, { name }) => ({
    ...definition,
    providers: [
      ...(definition.providers ?? []),
      {
        provide: getCacheStoreToken(name),
        inject: [RedisCacheRuntime, FEATURE_OPTIONS],
        useFactory: (runtime: RedisCacheRuntime, options: CacheStoreOptions) => runtime.createStore(options),
      },
    ],
    exports: [getCacheStoreToken(name)],
  }))
  .build();

/** What all stores of an application share. Not public: of the package only. */
export class RedisCacheRuntime {
  readonly connection: RedisConnection;
  readonly #options: RedisCacheModuleOptions;
  readonly #backend: CacheBackend;
  readonly #logger = new Logger('RedisCacheModule');
  #keepsForever = false;
  /** A function that gives keys is asked once for all stores. */
  readonly #keyRings = new Map<EncryptionSource, Promise<KeyRing>>();

  constructor(options: RedisCacheModuleOptions) {
    const resolved = resolveConnection(options, this.#warn);
    this.#options = options;
    this.connection = new RedisConnection(resolved);
    this.#backend =
      resolved.address.kind === 'memory'
        ? new MemoryBackend(() => this.connection.status !== 'closed')
        : new RedisBackend(this.connection, resolveMaxBytes(options));
  }

  async createDefaultStore(): Promise<RedisCacheStore> {
    return this.#create(await resolveDefaultStore(this.#options, this.#surroundings));
  }

  async createStore(options: CacheStoreOptions): Promise<RedisCacheStore> {
    return this.#create(await resolveStore(options, this.#options, this.#surroundings));
  }

  /** The keys of `encryption` in `forRoot`, for what is derived from them. */
  async masterKeys(): Promise<KeyRing | undefined> {
    const { encryption = false } = this.#options;
    return encryption === false ? undefined : this.#surroundings.openKeys(encryption);
  }

  /** The clock that what is stored lives by, in ms since the epoch. */
  readonly now = (): number => Date.now();

  /** One log line for each change of the connection's status, never one for each call. */
  async open(): Promise<void> {
    const { status$ } = this.connection;
    status$.subscribe((status) => {
      if (status === 'ready') this.#logger.log('Redis is ready');
      if (status === 'down') this.#warn(`Redis is down: ${this.connection.lastError?.message ?? 'not ready in time'}`);
    });
    status$
      .pipe(
        filter((status) => status === 'ready'),
        take(1),
      )
      .subscribe(() => void this.#checkServer());
    await this.connection.open();
  }

  async #checkServer(): Promise<void> {
    if (this.#backend instanceof MemoryBackend) return;
    for (const warning of await checkServer(this.connection, this.#keepsForever)) this.#warn(warning);
  }

  #create(settings: StoreSettings): RedisCacheStore {
    this.#keepsForever ||= settings.ttl === null;
    return new RedisCacheStore(settings, this.#backend);
  }

  get #warn(): (message: string) => void {
    return (message) => this.#logger.warn(message);
  }

  get #surroundings(): StoreSurroundings {
    const openKeys = (source: EncryptionSource) => {
      const ring = this.#keyRings.get(source) ?? KeyRing.open(source, this.#warn);
      this.#keyRings.set(source, ring);
      return ring;
    };
    return { warn: this.#warn, openKeys };
  }
}

/** Owns the connection. Always global, so that `forFeature` finds it from any module. */
@Global()
@Module({
  providers: [
    {
      provide: RedisCacheRuntime,
      inject: [root.MODULE_OPTIONS_TOKEN],
      useFactory: (options: RedisCacheModuleOptions) => new RedisCacheRuntime(options),
    },
  ],
  exports: [RedisCacheRuntime],
})
class RedisCacheCoreModule extends root.ConfigurableModuleClass implements OnModuleInit, OnApplicationShutdown {
  constructor(
    @Inject(RedisCacheRuntime) private readonly runtime: RedisCacheRuntime,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    super();
    // Which of two connections a store of `forFeature` gets would be anybody's guess.
    const roots = [...modules.values()].filter(({ metatype }) => metatype === RedisCacheCoreModule);
    if (roots.length === 1) return;
    throw new CacheConfigError(
      'forRoot',
      'was called more than once: call it in the root module, and forFeature for more stores',
    );
  }

  /** No I/O happens before this: `compile()` without `init()` opens nothing. */
  async onModuleInit(): Promise<void> {
    await this.runtime.open();
  }

  /** The last of Nest's hooks: requests in flight have been answered by now. */
  async onApplicationShutdown(): Promise<void> {
    await this.runtime.connection.close();
  }
}

@Module({})
class RedisCacheFeatureModule extends feature.ConfigurableModuleClass {}

/**
 * The module: `forRoot` once, for the connection and the default store (inject `RedisCacheStore`), and `forFeature` wherever
 * further stores are needed (`@InjectCacheStore(name)`).
 *
 * @example
 * ```ts
 * RedisCacheModule.forRootAsync({
 *   inject: [ConfigService],
 *   useFactory: (config: ConfigService) => ({ url: config.getOrThrow<string>('REDIS_URL'), namespace: 'session', ttl: '30m' }),
 * })
 * ```
 */
@Module({})
export class RedisCacheModule {
  /**
   * The connection and the default store. `isGlobal` (default `true`): both can be injected everywhere without importing.
   *
   * @throws CacheConfigError (at boot) for a wrong option, or if Redis refuses us
   */
  static forRoot(options: RedisCacheModuleOptions & { isGlobal?: boolean } = {}): DynamicModule {
    return rootModule(RedisCacheCoreModule.forRoot(options), options.isGlobal);
  }

  /** As `forRoot`, with options from providers such as ConfigService. */
  static forRootAsync(options: RedisCacheModuleAsyncOptions): DynamicModule {
    const { isGlobal, ...core } = options;
    return rootModule(RedisCacheCoreModule.forRootAsync(core), isGlobal);
  }

  /** Further stores on the same connection, each with a namespace of its own. */
  static forFeature(...stores: CacheStoreOptions[]): DynamicModule {
    const providers = stores.map((options) =>
      storeProvider(getCacheStoreToken(options.name ?? options.namespace), (runtime) => runtime.createStore(options)),
    );
    return { module: RedisCacheModule, providers, exports: providers.map(({ provide }) => provide) };
  }

  /** A further store with options from providers. The name must be known beforehand; one in the options is ignored. */
  static forFeatureAsync(store: CacheStoreAsyncOptions): DynamicModule {
    return RedisCacheFeatureModule.forFeatureAsync(store);
  }
}

function rootModule(core: DynamicModule, isGlobal = true): DynamicModule {
  const providers = [
    storeProvider(RedisCacheStore, (runtime) => runtime.createDefaultStore()),
    storeProvider(RedisConnection, (runtime) => runtime.connection),
  ];
  return {
    module: RedisCacheModule,
    global: isGlobal,
    imports: [core],
    providers,
    exports: providers.map(({ provide }) => provide),
  };
}

function storeProvider(token: InjectionToken, create: (runtime: RedisCacheRuntime) => unknown): FactoryProvider {
  return { provide: token, inject: [RedisCacheRuntime], useFactory: create };
}
