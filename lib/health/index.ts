import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { RedisConnection } from '../connection/redis-connection.js';
import { CacheConfigError } from '../redis-cache.errors.js';
import { getRedisConnectionToken } from '../redis-cache.tokens.js';

/**
 * A Terminus indicator: up while Redis answers a PING, down with the reason otherwise. Provide it in the module of your health controller, which imports
 * `TerminusModule` of `@nestjs/terminus`.
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
  constructor(@Inject(ModuleRef) private readonly modules: ModuleRef) {}

  /**
   * Asks one connection for a sign of life, within the module's `timeout`.
   *
   * @param key - names it in the report, which shows status and reason, and the name of the connection; never a password or a key of a record
   * @param options - `connection`: the `name` in `forRoot` of the connection; default: the one without a name
   * @throws CacheConfigError if there is no such connection
   * @example
   * ```ts
   * this.health.check([() => this.redis.check('redis'), () => this.redis.check('redis-audit', { connection: 'audit' })])
   * ```
   */
  async check<Key extends string>(
    key: Key,
    options: { connection?: string } = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const { connection: name } = options;
    const connection = this.#find(name);
    const report = (status: 'up' | 'down', more: { message?: string } = {}) => {
      const details = { status, ...(name !== undefined && { name }), connection: connection.status, ...more };
      const result: HealthIndicatorResult = { [key]: details };
      return result as HealthIndicatorResult<Key>; // the compiler takes a computed key for any string
    };
    try {
      await connection.ping();
      return report('up');
    } catch (error) {
      const reason = connection.lastError ?? error;
      return report('down', { message: reason instanceof Error ? reason.message : 'unavailable' });
    }
  }

  #find(name: string | undefined): RedisConnection {
    try {
      return this.modules.get<RedisConnection>(getRedisConnectionToken(name), { strict: false });
    } catch (cause) {
      const problem = name === undefined ? 'there is no default connection' : `there is no connection "${name}"`;
      throw new CacheConfigError('connection', problem, { cause });
    }
  }
}
