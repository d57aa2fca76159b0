import { ConfigurableModuleBuilder, Logger, Module } from '@nestjs/common';
import type { DynamicModule, FactoryProvider, InjectionToken, Provider } from '@nestjs/common';
import { CacheConfigError } from '../redis-cache.errors.js';
import { assertOneSource, runtimeProvider } from '../redis-cache.core-module.js';
import type { RedisCacheRuntime } from '../redis-cache.runtime.js';
import { AttemptLimiter } from './attempt-limiter.js';
import { SERVICES, serviceToken } from './auth.options.js';
import type { RedisCacheAuthAsyncOptions, RedisCacheAuthOptions, ServiceKind } from './auth.options.js';
import { OneTimeCodes } from './one-time-codes.js';
import { RefreshTokens } from './refresh-tokens.js';
import {
  assertServices,
  resolveAttempts,
  resolveCodes,
  resolveRefreshTokens,
  resolveSessions,
} from './resolve-auth-options.js';
import { Sessions } from './sessions.js';

const AUTH_OPTIONS = Symbol('RedisCacheAuthOptions');
const KINDS = Object.keys(SERVICES) as ServiceKind[];

const auth = new ConfigurableModuleBuilder<RedisCacheAuthOptions>({ optionsInjectionToken: AUTH_OPTIONS })
  .setClassMethodName('forFeature')
  .setFactoryMethodName('createRedisCacheAuthOptions')
  .setExtras<{ name?: string; connection?: string }>({}, (definition, { name, connection }) => {
    const createLate = (kind: ServiceKind) => (runtime: RedisCacheRuntime, options: RedisCacheAuthOptions) => {
      if (options?.connection !== undefined) throw tooLate('connection');
      if (options?.[kind]?.name !== undefined) throw tooLate(`${kind}.name`);
      return create(kind, serviceToken(kind, name), options, runtime);
    };
    const provide = (kind: ServiceKind) => serviceProvider(serviceToken(kind, name), connection, createLate(kind));
    return withServices(definition, KINDS.map(provide));
  })
  .build();

/** Its services are known before its options are: all four. */
@Module({})
class RedisCacheAuthAsyncModule extends auth.ConfigurableModuleClass {}

/**
 * The services of `nestjs-redis-cache-store/auth`. Needs `RedisCacheModule.forRoot`. May be imported more than once.
 *
 * @example
 * ```ts
 * RedisCacheAuthModule.forFeature({
 *   sessions: { namespace: 'session', idle: '30m', absolute: '12h' },
 *   attempts: { namespace: 'login', limit: 10, window: '15m' },
 * })
 * ```
 */
@Module({})
export class RedisCacheAuthModule {
  /** The services that have options. @throws CacheConfigError (at boot) for a wrong option */
  static forFeature(options: RedisCacheAuthOptions): DynamicModule {
    const asked = KINDS.filter((kind) => options[kind] !== undefined);
    const providers = [{ provide: AUTH_OPTIONS, useFactory: () => checked(options) }];
    const provide = (kind: ServiceKind) => {
      const token = serviceToken(kind, options[kind]?.name);
      return serviceProvider(token, options.connection, (runtime) => create(kind, token, options, runtime));
    };
    return withServices({ module: RedisCacheAuthModule, providers }, asked.map(provide));
  }

  /**
   * As `forFeature`, with options from providers such as ConfigService. All four services can be injected; one that the options
   * leave out throws a CacheConfigError when it is used. With `name`, all of them have that name.
   */
  static forFeatureAsync(options: RedisCacheAuthAsyncOptions): DynamicModule {
    assertOneSource('forFeatureAsync', options);
    // As a module of this class, so that `exports: [RedisCacheAuthModule]` passes it on.
    return { ...RedisCacheAuthAsyncModule.forFeatureAsync(options), module: RedisCacheAuthModule };
  }
}

function withServices(definition: DynamicModule, services: readonly FactoryProvider[]): DynamicModule {
  const providers: Provider[] = [...(definition.providers ?? []), ...services];
  return { ...definition, providers, exports: services.map(({ provide }) => provide) };
}

function serviceProvider(
  token: InjectionToken,
  connection: string | undefined,
  make: (runtime: RedisCacheRuntime, options: RedisCacheAuthOptions) => unknown,
): FactoryProvider {
  return runtimeProvider<[RedisCacheAuthOptions]>(token, connection, make, [AUTH_OPTIONS]);
}

function tooLate(option: string): CacheConfigError {
  return new CacheConfigError(option, 'belongs beside "useFactory", since it is needed before the factory runs');
}

type Creators = {
  readonly [Kind in ServiceKind]: (
    options: NonNullable<RedisCacheAuthOptions[Kind]>,
    token: InjectionToken,
    runtime: RedisCacheRuntime,
    logger: Logger,
  ) => Promise<object>;
};

const CREATE: Creators = {
  async sessions(options, token, runtime) {
    const { store, settings } = resolveSessions(options, runtime.now);
    return new Sessions(await runtime.createStore(store, token), settings);
  },
  async refreshTokens(options, token, runtime, logger) {
    const { store, settings } = resolveRefreshTokens(options, runtime.now, (message) => logger.warn(message));
    return new RefreshTokens(await runtime.createStore(store, token), settings);
  },
  async codes(options, token, runtime, logger) {
    const { store, settings } = resolveCodes(options, await runtime.masterKeys(), (message) => logger.warn(message));
    const service = new OneTimeCodes(await runtime.createStore(store, token), settings);
    logger.log(oddsOf(options.namespace, service));
    return service;
  },
  async attempts(options, token, runtime) {
    const { store, settings } = resolveAttempts(options);
    return new AttemptLimiter(await runtime.createStore(store, token), settings);
  },
};

async function create<Kind extends ServiceKind>(
  kind: Kind,
  token: InjectionToken,
  options: RedisCacheAuthOptions,
  runtime: RedisCacheRuntime,
): Promise<object> {
  assertServices(options);
  const own = options[kind];
  if (own === undefined) return leftOut(kind);
  const service = await CREATE[kind](own, token, runtime, new Logger('RedisCacheAuthModule'));
  claim(own.namespace, kind, runtime);
  return service;
}

/** Which kind of service has which namespace of a connection. */
const claimed = new WeakMap<RedisCacheRuntime, Map<string, ServiceKind>>();

/** Two kinds in one namespace would end and refuse the records of each other. @throws CacheConfigError */
function claim(namespace: string, kind: ServiceKind, runtime: RedisCacheRuntime): void {
  const kinds = claimed.get(runtime) ?? new Map<string, ServiceKind>();
  const owner = kinds.get(namespace) ?? kind;
  if (owner !== kind) throw new CacheConfigError(`${kind}.namespace`, `is that of "${owner}" already: give it another`);
  claimed.set(runtime, kinds.set(namespace, kind));
}

function oddsOf(namespace: string, { odds }: OneTimeCodes): string {
  const oneIn = (chance: number) => `1 in ${Math.floor(1 / chance).toLocaleString('en')}`;
  return `codes of "${namespace}": a guesser's odds are ${oneIn(odds.code)} for a code and ${oneIn(odds.day)} for a day`;
}

/** What Nest calls of every provider that has it. */
const HOOKS: readonly (string | symbol)[] = ['beforeApplicationShutdown', 'onApplicationShutdown'];

/** What is used of a service and is no method. */
const PROPERTIES: readonly (string | symbol)[] = ['events$', 'odds', 'sockets'];

/** What is injected for a service without options: it says so when it is used. */
function leftOut(kind: ServiceKind): object {
  const { prototype } = SERVICES[kind];
  return new Proxy(Object.create(prototype) as object, {
    get(_, property) {
      const isUsed =
        PROPERTIES.includes(property) || (property !== 'constructor' && Object.hasOwn(prototype, property));
      if (!isUsed || HOOKS.includes(property)) return undefined;
      throw new CacheConfigError(kind, 'was left out by the factory of forFeatureAsync, and is used all the same');
    },
  });
}

/** @throws CacheConfigError */
function checked(options: RedisCacheAuthOptions): RedisCacheAuthOptions {
  assertServices(options);
  return options;
}
