import { ConfigurableModuleBuilder, Global, Inject, Module } from '@nestjs/common';
import type {
  FactoryProvider,
  InjectionToken,
  OnApplicationShutdown,
  OnModuleInit,
  OptionalFactoryDependency,
  Provider,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { CacheConfigError } from './redis-cache.errors.js';
import { MEMORY_ONLY_DEPENDENCY, onMemory, orDefaults } from './redis-cache.memory-only.js';
import type { RedisCacheModuleOptions } from './redis-cache.options.js';
import { RedisCacheRuntime } from './redis-cache.runtime.js';
import type { StoresByToken } from './redis-cache.runtime.js';

const OPTIONS = Symbol('RedisCacheModuleOptions');
/** The runtime of one `forRoot`, within the module that it makes. */
const RUNTIME = Symbol('RedisCacheRuntime');
const NAMED = 'RedisCacheRuntime:';

/** The stores of each application. */
const stores = new WeakMap<ModulesContainer, StoresByToken>();

function storesOf(modules: ModulesContainer): StoresByToken {
  const found = stores.get(modules) ?? new Map();
  stores.set(modules, found);
  return found;
}

function runtimeToken(connection: string | undefined): InjectionToken {
  return connection === undefined ? RedisCacheRuntime : NAMED + connection;
}

const root = new ConfigurableModuleBuilder<RedisCacheModuleOptions>({ optionsInjectionToken: OPTIONS })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createRedisCacheOptions')
  .setExtras<{ name?: string | undefined; isGlobal?: boolean | undefined }>(
    { name: undefined, isGlobal: undefined },
    (definition, { name, isGlobal }) => ({
      ...definition,
      providers: [
        ...(definition.providers ?? []).map(tolerantInTests),
        {
          provide: RUNTIME,
          inject: [OPTIONS, ModulesContainer, MEMORY_ONLY_DEPENDENCY],
          useFactory: (options: RedisCacheModuleOptions, modules: ModulesContainer, isMemoryOnly = false) => {
            assertExtras(options, { name, isGlobal });
            return new RedisCacheRuntime(isMemoryOnly ? onMemory(options) : options, name, storesOf(modules));
          },
        },
        { provide: runtimeToken(name), useExisting: RUNTIME },
      ],
      exports: [runtimeToken(name)],
    }),
  )
  .build();

/** Owns one connection. Always global, so that `forFeature` finds it from any module. */
@Global()
@Module({})
export class RedisCacheCoreModule extends root.ConfigurableModuleClass implements OnModuleInit, OnApplicationShutdown {
  constructor(
    @Inject(RUNTIME) private readonly runtime: RedisCacheRuntime,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    super();
    // Which of two connections of one name a store gets would depend on the order of imports.
    const { name } = runtime;
    if (connectionsIn(modules).filter((other) => other === name).length === 1) return;
    throw name === undefined
      ? new CacheConfigError('forRoot', 'was called more than once: a further connection needs a "name"')
      : new CacheConfigError('name', 'is given to more than one forRoot', { connection: name });
  }

  /** No I/O happens before this hook, unless a store is called before: `compile()` without `init()` opens nothing. */
  async onModuleInit(): Promise<void> {
    await this.runtime.start();
  }

  /** The last of Nest's hooks: requests in flight have been answered by now. */
  async onApplicationShutdown(): Promise<void> {
    await this.runtime.connection.close();
  }
}

/** @throws CacheConfigError unless exactly one of the ways to get options is given: Nest would ask for a provider that nobody can name */
export function assertOneSource(method: string, options: object): void {
  const given: Readonly<Record<string, unknown>> = Object(options);
  const sources = ['useFactory', 'useClass', 'useExisting'].filter((source) => given[source] !== undefined);
  if (sources.length === 1) return;
  const found = sources.length === 0 ? '' : `, not ${sources.map((source) => `"${source}"`).join(' and ')}`;
  throw new CacheConfigError(method, `needs one of "useFactory", "useClass" and "useExisting"${found}`);
}

/** A provider that is made with the runtime of a connection. A connection that there is not fails the boot with advice. */
export function runtimeProvider<Injected extends unknown[]>(
  provide: InjectionToken,
  connection: string | undefined,
  create: (runtime: RedisCacheRuntime, ...injected: Injected) => unknown,
  inject: (InjectionToken | OptionalFactoryDependency)[] = [],
): FactoryProvider {
  return {
    provide,
    inject: [ModulesContainer, { token: runtimeToken(connection), optional: true }, ...inject],
    useFactory: async (modules: ModulesContainer, runtime: RedisCacheRuntime | undefined, ...injected: Injected) =>
      create(runtime ?? (await noRuntime(modules, connection)), ...injected),
  };
}

function noRuntime(modules: ModulesContainer, connection: string | undefined): Promise<never> {
  const connections = connectionsIn(modules);
  // Nest also gives `undefined` for an optional dependency that cannot be made. The error of that one is about to fail the boot.
  if (connections.includes(connection)) return new Promise(() => {});
  const names = connections.map((name) => (name === undefined ? 'the default one' : `"${name}"`)).join(', ');
  const missing =
    connection === undefined ? 'there is no default connection' : `there is no connection "${connection}"`;
  const advice = `import RedisCacheModule.forRoot(${connection === undefined ? '' : `{ name: '${connection}', … }`}) once, in the root module`;
  throw new CacheConfigError('connection', `${missing}${names && `, only ${names}`}: ${advice}`);
}

/** The names of the connections of an application; `undefined` stands for the default one. */
function connectionsIn(modules: ModulesContainer): (string | undefined)[] {
  return [...modules.values()]
    .filter(({ metatype }) => metatype === RedisCacheCoreModule)
    .map(({ providers }) => {
      const named = [...providers.keys()].find((token) => typeof token === 'string' && token.startsWith(NAMED));
      return typeof named === 'string' ? named.slice(NAMED.length) : undefined;
    });
}

/** The options provider of `forRootAsync`, which in an application under test may fail. */
function tolerantInTests(provider: Provider): Provider {
  if (typeof provider === 'function' || provider.provide !== OPTIONS || !('useFactory' in provider)) return provider;
  const { useFactory, inject = [] } = provider;
  return {
    ...provider,
    inject: [MEMORY_ONLY_DEPENDENCY, ...inject],
    useFactory: (isMemoryOnly: boolean | undefined, ...injected: unknown[]) => {
      const ask = (): unknown => useFactory(...injected);
      return isMemoryOnly ? orDefaults(ask) : ask();
    },
  };
}

/** @throws CacheConfigError */
function assertExtras(options: RedisCacheModuleOptions, extras: { name?: unknown; isGlobal?: unknown }): void {
  const { name } = extras;
  if (name !== undefined && (typeof name !== 'string' || name === '')) {
    throw new CacheConfigError('name', 'must be a non-empty string');
  }
  const given: typeof extras = Object(options);
  const late = (['name', 'isGlobal'] as const).find((extra) => extra in given && given[extra] !== extras[extra]);
  if (late === undefined) return;
  throw new CacheConfigError(late, 'belongs beside "useFactory", since it is needed before the factory runs');
}
