import { Logger } from '@nestjs/common';
import type { CacheStoreOptions, RedisCacheModuleOptions, RedisCacheStore } from 'nestjs-redis-cache-store';
import { CacheApp, SILENT } from './cache-app.js';
import { commandsDuring } from './command-stats.js';
import { eventually } from './eventually.js';
import { TcpProxy } from './proxy.js';
import { RedisServer } from './redis-server.js';

export const NAMESPACE = 'near';

/** By then an invalidation has arrived: it takes less than a ms, but the machine may be busy. */
export const TRAVEL = 250;

/** The connections of instances behind the proxy: those that carry commands, and those on which invalidations come. */
export const DATA = (_nth: number, isFeed: boolean): boolean => !isFeed;
export const FEED = (_nth: number, isFeed: boolean): boolean => isFeed;

/** Instances of an application that keep local copies: some behind a proxy that breaks things, others straight at the server. */
export class NearStage {
  static async start(args: string[] = []): Promise<NearStage> {
    return new NearStage(await RedisServer.start({ args }));
  }

  /** In front of the server, for one test. */
  proxy!: TcpProxy;
  /** What the instances warned of. */
  readonly warnings: string[] = [];
  private readonly apps: CacheApp[] = [];

  private constructor(readonly server: RedisServer) {}

  /** For each test: an empty server, and a proxy. */
  async reset(): Promise<void> {
    await this.server.cli('FLUSHALL');
    this.proxy = await TcpProxy.start(this.server);
  }

  /** An instance whose connections go through the proxy. The only one, should the test break some of them. */
  proxied(options: RedisCacheModuleOptions = {}): Promise<RedisCacheStore> {
    return this.open({ url: this.proxy.url, nearCache: true, ...options });
  }

  /** An instance straight at the server. */
  async open(options: RedisCacheModuleOptions = {}): Promise<RedisCacheStore> {
    const url = options.client ? {} : { url: this.server.url };
    return (await this.app({ ...url, nearCache: true, ...options })).store;
  }

  /** An application, closed with the others. */
  async app(options: RedisCacheModuleOptions, ...stores: CacheStoreOptions[]): Promise<CacheApp> {
    const app = await CacheApp.start({ namespace: NAMESPACE, ...options }, ...stores);
    this.apps.push(app);
    Logger.overrideLogger({ ...SILENT, warn: (message: string) => this.warnings.push(message) });
    return app;
  }

  /** Reads until the answer comes from a local copy. */
  async warm(store: RedisCacheStore, ...keys: string[]): Promise<void> {
    for (const key of keys) {
      await eventually(async () => expect(await this.readsDuring(() => store.get(key))).toBe(0));
    }
  }

  /** Begins a read and waits until the server has carried it out, whether its reply gets through or not. */
  async executed(begin: () => unknown): Promise<void> {
    await this.server.cli('CONFIG', 'RESETSTAT');
    begin();
    const reads = async () => String(await this.server.cli('INFO', 'commandstats'));
    await eventually(async () => expect(await reads()).toMatch(/cmdstat_(getrange|get|mget):/));
  }

  /** How many reads of records reach the server meanwhile. */
  async readsDuring(action: () => Promise<unknown>): Promise<number> {
    const { get = 0, getrange = 0, mget = 0 } = await commandsDuring(this.server, action);
    return get + getrange + mget;
  }

  /** Another client overwrites a record with a copy of another. */
  async overwrite(key: string, from: string): Promise<void> {
    await this.server.cli('COPY', `${NAMESPACE}:${from}`, `${NAMESPACE}:${key}`, 'REPLACE');
  }

  async clean(): Promise<void> {
    await this.proxy.resume();
    await Promise.all(this.apps.splice(0).map((app) => app.close()));
    await this.proxy.stop();
    this.warnings.length = 0;
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }
}
