import { Inject, Injectable } from '@nestjs/common';
import { HealthIndicatorService } from '@nestjs/terminus';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { RedisConnection } from '../connection/redis-connection.js';

/**
 * A Terminus indicator: up while Redis answers a PING, down with the reason otherwise. Bounded by the module's `timeout`.
 * Needs `@nestjs/terminus`; provide it in the module of your health controller.
 *
 * @example
 * ```ts
 * @Controller('health')
 * export class HealthController {
 *   constructor(private readonly health: HealthCheckService, private readonly redis: RedisCacheHealthIndicator) {}
 *
 *   @Get() @HealthCheck()
 *   check() { return this.health.check([() => this.redis.check('redis')]); }
 * }
 * ```
 */
@Injectable()
export class RedisCacheHealthIndicator {
  constructor(
    @Inject(RedisConnection) private readonly connection: RedisConnection,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
  ) {}

  /** `key` names it in the report, which shows status and reason, never a password or a key of a record. */
  async check<Key extends string>(key: Key): Promise<HealthIndicatorResult<Key>> {
    const indicator = this.indicators.check(key);
    try {
      await this.connection.ping();
      return indicator.up({ connection: this.connection.status });
    } catch (error) {
      const reason = this.connection.lastError ?? error;
      const message = reason instanceof Error ? reason.message : 'unavailable';
      return indicator.down({ connection: this.connection.status, message });
    }
  }
}
