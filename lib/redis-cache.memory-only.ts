import { Logger } from '@nestjs/common';
import type { OptionalFactoryDependency } from '@nestjs/common';
import type { RedisCacheModuleOptions } from './redis-cache.options.js';

/** Present in applications that import RedisCacheTestingModule. */
export const MEMORY_ONLY = Symbol('RedisCacheMemoryOnly');

/** What a provider injects to learn whether this application is under test. */
export const MEMORY_ONLY_DEPENDENCY: OptionalFactoryDependency = { token: MEMORY_ONLY, optional: true };

/** The options without everything that says where Redis is and how to get there. */
export function onMemory(options: RedisCacheModuleOptions): RedisCacheModuleOptions {
  if (typeof options !== 'object' || options === null) return options;
  const own = { ...options, url: 'memory:', client: undefined, redis: undefined, credentials: undefined };
  // With its class, whose getters are refused in production as well.
  return Object.setPrototypeOf(own, Object.getPrototypeOf(options));
}

/** What the factory gives, or no options if it throws: in a test, nobody has set what it asks for. */
export async function orDefaults(factory: () => unknown): Promise<unknown> {
  try {
    return await factory();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // An error, since Nest's logger for tests shows nothing less, and a test of the application's ttls cannot hold without its options.
    new Logger('RedisCacheTestingModule').error(
      `the options of forRootAsync are left out, since their factory throws: ${reason}`,
    );
    return {};
  }
}
