import type { RedisOptions } from 'ioredis';
import type { RedisClient, RedisCredentials } from './redis-client.js';
import type { RedisAddress } from './redis-url.js';

/** What a connection is made of. */
export interface ConnectionOptions {
  readonly address: RedisAddress;
  /** The user's own client, watched instead of one of ours. */
  readonly client?: RedisClient;
  readonly redis: RedisOptions;
  readonly credentials?: () => RedisCredentials | Promise<RedisCredentials>;
  readonly timeout: number;
  readonly startup: 'wait' | 'background';
  readonly startupTimeout: number;
  /** Tells the operator of something. */
  readonly warn: (message: string) => void;
}
