import { Logger } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  type CacheStoreOptions,
  RedisCacheModule,
  type RedisCacheModuleOptions,
  RedisCacheStore,
} from 'nestjs-redis-cache-store';
import { sightings } from './canaries.js';
import { Witness } from './witness.js';

/** Nest applications with everything they log, print and trace under watch. */
export class WatchedApps {
  readonly witness = new Witness();
  private readonly modules: TestingModule[] = [];

  constructor(private readonly defaults: RedisCacheModuleOptions) {}

  async boot(options: RedisCacheModuleOptions, ...stores: CacheStoreOptions[]): Promise<TestingModule> {
    const all = { ...this.defaults, ...options };
    const imports = [RedisCacheModule.forRoot(all), RedisCacheModule.forFeature(...stores)];
    const module = await Test.createTestingModule({ imports }).setLogger(this.witness.logger).compile();
    this.modules.push(module);
    await module.init();
    Logger.overrideLogger(this.witness.logger);
    return module;
  }

  /** The default store of an application of its own. */
  async open(options: RedisCacheModuleOptions): Promise<RedisCacheStore> {
    return (await this.boot(options)).get(RedisCacheStore);
  }

  async close(): Promise<void> {
    await Promise.all(this.modules.splice(0).map((module) => module.close()));
  }

  /** Closes everything, and fails if a secret was seen anywhere. */
  async end(): Promise<void> {
    try {
      await this.close();
    } finally {
      this.witness.stop();
    }
    for (const [where, what] of this.witness.seen) expect([where, ...sightings(what)]).toEqual([where]);
  }
}
