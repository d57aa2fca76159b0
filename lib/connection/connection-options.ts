import type { RedisConnectionOptions, RedisLogin } from '../redis-connection.options.js';
import type { RedisAddress } from './redis-url.js';

/** What a connection is made of. Times in ms. */
export interface ConnectionOptions {
  /** Told in errors and log lines, where an application has several connections. */
  readonly name?: string | undefined;
  readonly address: RedisAddress;
  readonly redis: RedisConnectionOptions;
  readonly credentials?: (() => RedisLogin | Promise<RedisLogin>) | undefined;
  readonly timeout: number;
  readonly startup: 'wait' | 'background';
  readonly startupTimeout: number;
  readonly heartbeat: number;
  /** Tells the operator of something. */
  readonly warn: (message: string) => void;
}
