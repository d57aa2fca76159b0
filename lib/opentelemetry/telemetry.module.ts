import { Module } from '@nestjs/common';
import type { DynamicModule, OnApplicationShutdown } from '@nestjs/common';
import { RedisCacheInstrumentation } from './instrumentation.js';

/**
 * Spans and metrics for applications that register no instrumentations: {@link RedisCacheInstrumentation} with the global providers
 * of OpenTelemetry, from the boot of the application until it has shut down. Import it before `RedisCacheModule`.
 *
 * @example
 * ```ts
 * @Module({ imports: [RedisCacheTelemetryModule.forRoot(), RedisCacheModule.forRoot({ url })] })
 * export class AppModule {}
 * ```
 */
@Module({})
export class RedisCacheTelemetryModule implements OnApplicationShutdown {
  private readonly instrumentation = new RedisCacheInstrumentation();

  static forRoot(): DynamicModule {
    return { module: RedisCacheTelemetryModule };
  }

  /** The last of Nest's hooks: the calls of requests in flight have been told by now. */
  onApplicationShutdown(): void {
    this.instrumentation.disable();
  }
}
