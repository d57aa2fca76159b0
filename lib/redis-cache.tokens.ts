import { Inject } from '@nestjs/common';
import type { InjectionToken } from '@nestjs/common';
import { RedisConnection } from './connection/redis-connection.js';

/**
 * The injection token of a store of `forFeature`, by its `name` (default: its namespace); also of the default store of a
 * connection that has a name, by that name. (The default store of the default connection has the token `RedisCacheStore`, the class.)
 *
 * @example
 * ```ts
 * Test.createTestingModule({ … }).overrideProvider(getCacheStoreToken('reset-token')).useValue(fake);
 * ```
 */
export function getCacheStoreToken(name: string): InjectionToken {
  return `RedisCacheStore:${name}`;
}

/**
 * Injects a store by its name; see {@link getCacheStoreToken}.
 *
 * @example
 * ```ts
 * constructor(@InjectCacheStore('reset-token') private readonly tokens: RedisCacheStore) {}
 * ```
 */
export function InjectCacheStore(name: string): ParameterDecorator & PropertyDecorator {
  return Inject(getCacheStoreToken(name));
}

/**
 * The injection token of a connection, by the `name` in `forRoot`; without a name, of the default connection: the class itself.
 *
 * @example
 * ```ts
 * app.get<RedisConnection>(getRedisConnectionToken('audit')).status;
 * ```
 */
export function getRedisConnectionToken(name?: string): InjectionToken {
  return name === undefined ? RedisConnection : `RedisConnection:${name}`;
}

/**
 * Injects a connection by its name; without a name, the default one.
 *
 * @example
 * ```ts
 * constructor(@InjectRedisConnection('audit') private readonly audit: RedisConnection) {}
 * ```
 */
export function InjectRedisConnection(name?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getRedisConnectionToken(name));
}
