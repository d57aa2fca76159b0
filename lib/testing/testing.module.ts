import { Global, Logger, Module } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { MEMORY_ONLY } from '../redis-cache.memory-only.js';

/**
 * For tests of an application: imported beside its modules, it puts every store of every connection on `memory:`. No server is needed, nothing is opened
 * and nothing is waited for. Each application under test has records of its own.
 *
 * Namespaces, ttls, schemas and everything else that `forRoot` and `forFeature` say stay as they are. If a factory of `forRootAsync` throws, for
 * want of an environment variable for instance, an error line in the log says so and the default store has the default options.
 *
 * @example
 * ```ts
 * const module = await Test.createTestingModule({ imports: [AppModule, RedisCacheTestingModule] }).compile();
 * ```
 */
@Global()
@Module({ providers: [{ provide: MEMORY_ONLY, useValue: true }], exports: [MEMORY_ONLY] })
export class RedisCacheTestingModule implements OnModuleInit {
  /** In a log of production, this line would say why everybody has to sign in again. */
  onModuleInit(): void {
    new Logger('RedisCacheTestingModule').warn('every store is kept in memory only, as for tests');
  }
}
