import { isDeepStrictEqual } from 'node:util';
import { Logger } from '@nestjs/common';
import type { InjectionToken } from '@nestjs/common';
import { filter, take } from 'rxjs';
import type { CacheBackend } from './backend/cache-backend.js';
import { MemoryBackend } from './backend/memory.backend.js';
import { RedisBackend } from './backend/redis.backend.js';
import { RedisConnection } from './connection/redis-connection.js';
import { checkServer } from './server-check.js';
import { KeyRing } from './record/key-ring.js';
import type { EncryptionSource } from './record/key-ring.js';
import { CacheConfigError, CacheUnavailableError } from './redis-cache.errors.js';
import type { CacheStoreOptions, RedisCacheModuleOptions } from './redis-cache.options.js';
import { resolveConnection, resolveDefaultStore, resolveMaxBytes, resolveStore } from './resolve-options.js';
import type { StoreSurroundings } from './resolve-options.js';
import { Operations } from './store/operations.js';
import { RedisCacheStore } from './store/redis-cache.store.js';
import type { StoreSettings } from './store/store-settings.js';

/** What the stores of an application are like, by the tokens that they are injected by. */
export type StoresByToken = Map<InjectionToken, ReadonlyMap<string, unknown>>;

/** What all stores of one connection share. Not public: of the package only. */
export class RedisCacheRuntime {
  readonly connection: RedisConnection;
  readonly #options: RedisCacheModuleOptions;
  readonly #backend: CacheBackend;
  readonly #logger = new Logger('RedisCacheModule');
  #keepsForever = false;
  /** The stores that were given no ttl, and no `null` either. */
  readonly #withoutTtl = new Set<string>();
  /** A function that gives keys is asked once for all stores. */
  readonly #keyRings = new Map<EncryptionSource, Promise<KeyRing>>();

  /**
   * @param name - the name of the connection; `undefined`: the default one
   * @param stores - of the whole application
   */
  constructor(
    options: RedisCacheModuleOptions,
    readonly name: string | undefined,
    private readonly stores: StoresByToken,
  ) {
    const resolved = this.#locate(() => resolveConnection(options, this.#warn));
    this.#options = options;
    this.connection = new RedisConnection(resolved);
    this.#backend =
      resolved.address.kind === 'memory'
        ? new MemoryBackend(() => this.connection.status !== 'closed')
        : new RedisBackend(this.connection, resolveMaxBytes(options));
    this.#tell();
  }

  /** @param token - by which the store is injected */
  async createDefaultStore(token: InjectionToken): Promise<RedisCacheStore> {
    const { ttl, namespace = 'cache' } = this.#options;
    try {
      return this.#create(token, await resolveDefaultStore(this.#options, this.#surroundings), ttl, namespace);
    } catch (error) {
      throw this.#located(error);
    }
  }

  /** @param token - by which the store is injected, or the service that it is for */
  async createStore(options: CacheStoreOptions, token: InjectionToken): Promise<RedisCacheStore> {
    const name = options?.name ?? options?.namespace;
    try {
      return this.#create(token, await resolveStore(options, this.#options, this.#surroundings), options.ttl, name);
    } catch (error) {
      throw this.#located(error, options);
    }
  }

  /** The keys of `encryption` in `forRoot`, for what is derived from them. */
  async masterKeys(): Promise<KeyRing | undefined> {
    const { encryption = false } = this.#options;
    return encryption === false ? undefined : this.#surroundings.openKeys(encryption);
  }

  /** The clock that what is stored lives by, in ms since the epoch. */
  readonly now = (): number => this.#backend.now();

  /** Opens the connection, if no call has done so yet; see `startup`. */
  async start(): Promise<void> {
    if (this.#withoutTtl.size > 0) {
      const names = Array.from(this.#withoutTtl, (name) => `"${name}"`).join(', ');
      this.#warn(
        `store ${names}: records never expire unless a call gives a ttl; set "ttl", or "ttl: null" if you mean it`,
      );
    }
    await this.connection.open().catch((error: unknown) => Promise.reject(this.#bootFailure(error)));
  }

  /** For the one who reads the last lines of a boot: where Redis was looked for, and the options that decide about waiting for it. */
  #bootFailure(error: unknown): unknown {
    if (!(error instanceof CacheUnavailableError) || error.reason !== 'disconnected') return this.#located(error);
    const { message = 'there was no answer yet' } = this.connection.lastError ?? {};
    const advice = `"startupTimeout" is how long the boot waits; with "startup: 'background'" it does not wait`;
    const text = this.#named(`Redis was not ready in time: ${message} (${advice})`);
    return new CacheUnavailableError(error.reason, error.outcome, text, { cause: error.cause });
  }

  /** One log line for each change of the connection's status, never one for each call. */
  #tell(): void {
    const { status$ } = this.connection;
    status$.subscribe((status) => {
      if (status === 'ready') this.#say('log', 'Redis is ready');
      if (status === 'down' || status === 'degraded') {
        this.#warn(`Redis is ${status}: ${this.connection.lastError?.message ?? 'not ready in time'}`);
      }
    });
    status$
      .pipe(
        filter((status) => status === 'ready'),
        take(1),
      )
      .subscribe(() => void this.#checkServer());
  }

  async #checkServer(): Promise<void> {
    if (this.#backend instanceof MemoryBackend) return;
    for (const warning of await checkServer(this.connection, this.#keepsForever)) this.#warn(warning);
  }

  #create(
    token: InjectionToken,
    settings: StoreSettings,
    ttl: CacheStoreOptions['ttl'],
    name: string,
  ): RedisCacheStore {
    this.#claim(token, settings);
    this.#keepsForever ||= settings.ttl === null;
    if (ttl === undefined) this.#withoutTtl.add(name);
    return new RedisCacheStore(Operations.open(settings, this.#backend));
  }

  /** Of two providers of one token Nest injects the one that it finds first. @throws CacheConfigError if they differ */
  #claim(token: InjectionToken, settings: StoreSettings): void {
    const { namespace, ttl, maxAge, sliding, onCorrupt, nearCache, hashKeys, keyRing, schema } = settings;
    const behavior = { ttl, maxAge, sliding, onCorrupt, nearCache, hashKeys };
    const [encryption, hasSchema] = [keyRing !== undefined, schema !== undefined];
    const store = new Map(
      Object.entries({ connection: this.name, namespace, ...behavior, encryption, schema: hasSchema }),
    );
    const other = this.stores.get(token) ?? store;
    this.stores.set(token, other);
    const differing = [...store.keys()].filter((option) => !isDeepStrictEqual(store.get(option), other.get(option)));
    if (differing.length === 0) return;
    const options = differing.map((option) => `"${option}"`).join(', ');
    const problem = `two stores are injected by the token "${tokenName(token)}", and differ in ${options}`;
    throw new CacheConfigError('name', `${problem}: give one of them a name of its own, or both the same options`);
  }

  #named(message: string): string {
    return this.name === undefined ? message : `connection "${this.name}": ${message}`;
  }

  get #warn(): (message: string) => void {
    return (message) => this.#say('warn', message);
  }

  #say(level: 'log' | 'warn', message: string): void {
    try {
      this.#logger[level](this.#named(message));
    } catch {
      // A logger of the application's that throws must not cost it the connection.
    }
  }

  get #surroundings(): StoreSurroundings {
    const openKeys = (source: EncryptionSource) => {
      const ring = this.#keyRings.get(source) ?? KeyRing.open(source, this.#warn);
      this.#keyRings.set(source, ring);
      return ring;
    };
    return { warn: this.#warn, openKeys, source: this.connection.source };
  }

  #locate<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw this.#located(error);
    }
  }

  /** The error, with the store that the option belongs to, or with the connection if the option is one of `forRoot`. */
  #located(error: unknown, store?: CacheStoreOptions): unknown {
    if (!(error instanceof CacheConfigError)) return error;
    const { option, problem, cause } = error;
    const isOfStore = store && (option.split('.')[0] ?? '') in Object(store);
    const owner = isOfStore ? { store: store.name ?? store.namespace } : { connection: this.name };
    return new CacheConfigError(option, problem, { cause, ...owner });
  }
}

function tokenName(token: InjectionToken): string {
  return typeof token === 'function' ? token.name : String(token);
}
