import { Test, type TestingModule } from '@nestjs/testing';
import {
  type CacheStoreOptions,
  getCacheStoreToken,
  RedisCacheModule,
  type RedisCacheModuleOptions,
  RedisCacheStore,
  RedisConnection,
} from 'nestjs-redis-cache-store';

/** What Nest and the module would log goes nowhere. */
export const SILENT = { log() {}, warn() {}, error() {} };

/** A Nest application that has nothing but stores. */
export class CacheApp {
  /** Boots it; where that fails nothing is left open. */
  static async start(options: RedisCacheModuleOptions, ...stores: CacheStoreOptions[]): Promise<CacheApp> {
    const imports = [RedisCacheModule.forRoot(options), RedisCacheModule.forFeature(...stores)];
    const module = await Test.createTestingModule({ imports }).setLogger(SILENT).compile();
    const app = new CacheApp(module);
    try {
      await module.init();
      return app;
    } catch (error) {
      await app.close();
      throw error;
    }
  }

  /** What its boot fails with; `undefined` if it does not, for which it is closed again. */
  static async failure(options: RedisCacheModuleOptions): Promise<unknown> {
    return CacheApp.start(options).then(
      (app) => app.close(),
      (error: unknown) => error,
    );
  }

  private constructor(readonly module: TestingModule) {}

  /** The default store. */
  get store(): RedisCacheStore {
    return this.module.get(RedisCacheStore);
  }

  get connection(): RedisConnection {
    return this.module.get(RedisConnection);
  }

  /** A store of `forFeature`. */
  storeOf(name: string): RedisCacheStore {
    return this.module.get(getCacheStoreToken(name));
  }

  async close(): Promise<void> {
    await this.module.close();
  }
}
