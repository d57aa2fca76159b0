export type { RedisCommand, RedisReply } from '../ioredis/command.js';

/** What a call may still do. */
export interface Call {
  /** The moment (of `performance.now()`) by which it must settle. */
  readonly deadline: number;
  /** Whether it may be sent again when its reply was lost: true of reads only. */
  readonly repeatable: boolean;
}
