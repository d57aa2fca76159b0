import { ConfigurableModuleBuilder, Module } from '@nestjs/common';
import type { ConfigurableModuleAsyncOptions, DynamicModule, FactoryProvider } from '@nestjs/common';
import { assertOneSource, RedisCacheCoreModule, runtimeProvider } from './redis-cache.core-module.js';
import { CacheConfigError } from './redis-cache.errors.js';
import type { CacheStoreOptions, RedisCacheModuleOptions } from './redis-cache.options.js';
import { getCacheStoreToken, getRedisConnectionToken } from './redis-cache.tokens.js';
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

/**
 * Where `useClass` and `useExisting` of `forFeatureAsync` get the options from.
 *
 * @example
 * ```ts
 * class TokenConfig implements CacheStoreOptionsFactory {
 *   constructor(private readonly config: ConfigService) {}
 *   createCacheStoreOptions() { return { namespace: 'reset-token', ttl: this.config.getOrThrow<string>('TOKEN_TTL') }; }
 * }
 * ```
 */
export interface CacheStoreOptionsFactory {
  createCacheStoreOptions(): CacheStoreOptions | Promise<CacheStoreOptions>;
}

/**
 * The options of `forRootAsync`: `imports`, `inject`, and one of `useFactory`, `useClass` and `useExisting`. `isGlobal` and `name` stand beside them, since
 * they are needed before the factory runs.
 *
 * @example
 * ```ts
 * RedisCacheModule.forRootAsync({ name: 'audit', inject: [ConfigService], useFactory: (config: ConfigService) => config.getOrThrow('audit') });
 * ```
 */
export type RedisCacheModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  Omit<RedisCacheModuleOptions, 'name'>,
  keyof RedisCacheOptionsFactory
> & {
  /** Whether the store and the connection can be injected in every module. Default: `true`. */
  isGlobal?: boolean;
  /** The name of a further connection; see {@link RedisCacheModuleOptions.name}. */
  name?: string;
};

/**
 * The options of `forFeatureAsync`: `imports`, `inject`, and one of `useFactory`, `useClass` and `useExisting`. `name` and `connection` stand beside them, since
 * they are needed before the factory runs; those that the factory gives do not count.
 *
 * @example
 * ```ts
 * RedisCacheModule.forFeatureAsync({ name: 'code', inject: [ConfigService], useFactory: (config: ConfigService) => config.getOrThrow('code') });
 * ```
 */
export type CacheStoreAsyncOptions = ConfigurableModuleAsyncOptions<
  CacheStoreOptions,
  keyof CacheStoreOptionsFactory
> & {
  /** The name that `@InjectCacheStore()` asks for. */
  name: string;
  /** The name of the connection; see {@link RedisCacheModuleOptions.name}. Default: the one without a name. */
  connection?: string;
};

const FEATURE_OPTIONS = Symbol('CacheStoreOptions');

const feature = new ConfigurableModuleBuilder<CacheStoreOptions>({ optionsInjectionToken: FEATURE_OPTIONS })
  .setClassMethodName('forFeature')
  .setFactoryMethodName('createCacheStoreOptions')
  .setExtras<{ name: string; connection?: string | undefined }>(
    { name: '', connection: undefined },
    (definition, { name, connection }) => {
      const token = getCacheStoreToken(name);
      const store = runtimeProvider<[CacheStoreOptions]>(
        token,
        connection,
        (runtime, options) => runtime.createStore(withName(options, name), token),
        [FEATURE_OPTIONS],
      );
      return { ...definition, providers: [...(definition.providers ?? []), store], exports: [token] };
    },
  )
  .build();

@Module({})
class RedisCacheFeatureModule extends feature.ConfigurableModuleClass {}

/**
 * The module of this package: `forRoot` once, for the connection and the default store (inject `RedisCacheStore`), and `forFeature` in each module that needs
 * a store of its own (`@InjectCacheStore(name)`).
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
   * The connection and the default store. With a `name`, a further connection: its default store is `@InjectCacheStore(name)`, the connection
   * itself `@InjectRedisConnection(name)`, and `forFeature({ connection: name, … })` puts more stores on it.
   *
   * @param options - `isGlobal` (default `true`): store and connection can be injected everywhere without importing
   * @throws CacheConfigError (at boot) for a wrong option, for a name that is given twice, or if Redis refuses us; CacheUnavailableError
   * (at boot, with `startup: 'wait'`) if Redis is not ready within `startupTimeout`
   * @example
   * ```ts
   * RedisCacheModule.forRoot({ url: process.env.REDIS_URL, namespace: 'session', ttl: '30m' })
   * ```
   */
  static forRoot(options: RedisCacheModuleOptions & { isGlobal?: boolean } = {}): DynamicModule {
    const { name, isGlobal } = options;
    // No copy: it would be without what a class has getters for, which is refused.
    return rootModule(RedisCacheCoreModule.forRootAsync({ name, isGlobal, useFactory: () => options }), options);
  }

  /**
   * As `forRoot`, with options from providers such as ConfigService.
   *
   * @throws what the factory throws, and as `forRoot`
   * @example
   * ```ts
   * RedisCacheModule.forRootAsync({ useClass: CacheConfig }) // a RedisCacheOptionsFactory
   * ```
   */
  static forRootAsync(options: RedisCacheModuleAsyncOptions): DynamicModule {
    assertOneSource('forRootAsync', options);
    return rootModule(RedisCacheCoreModule.forRootAsync(options), options);
  }

  /**
   * Further stores, each with a namespace of its own, for the module that imports them. `exports: [RedisCacheModule]` passes them on.
   *
   * @throws CacheConfigError (at boot) for a wrong option, for two different stores of one name in the application, or for a connection that no `forRoot` has the name of
   * @example
   * ```ts
   * RedisCacheModule.forFeature({ namespace: 'reset-token', ttl: '2h' }, { namespace: 'audit', connection: 'audit', ttl: '7d' })
   * ```
   */
  static forFeature(...stores: CacheStoreOptions[]): DynamicModule {
    const nameOf = ({ name, namespace }: CacheStoreOptions) => name ?? namespace;
    const names = stores.map(nameOf);
    const providers = stores.map((options, i) => {
      const store = nameOf(options);
      const token = getCacheStoreToken(store);
      return runtimeProvider(token, options.connection, (runtime) => {
        if (names.indexOf(store) === i) return runtime.createStore(options, token);
        throw new CacheConfigError('name', 'is given to another store of this forFeature', { store });
      });
    });
    return { module: RedisCacheModule, providers, exports: tokensOf(providers) };
  }

  /**
   * A further store with options from providers.
   *
   * @throws what the factory throws, and as `forFeature`
   * @example
   * ```ts
   * RedisCacheModule.forFeatureAsync({ name: 'reset-token', useClass: TokenConfig }) // a CacheStoreOptionsFactory
   * ```
   */
  static forFeatureAsync(store: CacheStoreAsyncOptions): DynamicModule {
    assertOneSource('forFeatureAsync', store);
    // As a module of this class, so that `exports: [RedisCacheModule]` passes it on.
    return { ...RedisCacheFeatureModule.forFeatureAsync(store), module: RedisCacheModule };
  }
}

function rootModule(
  core: DynamicModule,
  { name, isGlobal = true }: { name?: string | undefined; isGlobal?: boolean | undefined },
): DynamicModule {
  const store = name === undefined ? RedisCacheStore : getCacheStoreToken(name);
  const providers = [
    runtimeProvider(store, name, (runtime) => runtime.createDefaultStore(store)),
    runtimeProvider(getRedisConnectionToken(name), name, (runtime) => runtime.connection),
  ];
  return { module: RedisCacheModule, global: isGlobal, imports: [core], providers, exports: tokensOf(providers) };
}

function tokensOf(providers: readonly FactoryProvider[]) {
  return providers.map(({ provide }) => provide);
}

/** The options that a factory gave, under the name that stands beside the factory. */
function withName(options: CacheStoreOptions, name: string): CacheStoreOptions {
  if (typeof options !== 'object' || options === null) return options;
  // With its class, whose getters are refused: a bare copy would be without them.
  if (options.connection === undefined)
    return Object.setPrototypeOf({ ...options, name }, Object.getPrototypeOf(options));
  throw new CacheConfigError('connection', 'belongs beside "useFactory", since it is needed before the factory runs', {
    store: name,
  });
}
